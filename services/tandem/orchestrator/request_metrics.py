"""Counts and measures requests at their end, from what is on record of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tandem.call import Call
from tandem.ledger.entry import made_elsewhere
from tandem.orchestrator.course import Phase, Slot
from tandem.orchestrator.ended import Ended
from tandem.orchestrator.record import error_of
from tandem.telemetry import metric_names as names
from tandem.telemetry.measures import NONE, Bounded, Facts, Words, gauge, sampled_trace, words
from tandem.telemetry.recent import RecentShare
from tandem.v1 import types_pb2

MOST_TENANTS: Final = 200
"""Tenants that are told apart."""
REFUSED: Final = frozenset(
    (
        "INVALID_REQUEST",
        "UNKNOWN_TIER",
        "UNKNOWN_VARIANT",
        "MODALITY_UNSUPPORTED",
        "STRATEGY_UNSUPPORTED",
        "PROMPT_TOO_LONG",
        "UNKNOWN_API_KEY",
        "TIER_NOT_ENTITLED",
        "DEADLINE_TOO_SHORT",
        "BUDGET_EXHAUSTED",
    )
)
"""Reasons that are the client's, not a failure of the service."""
MISSES: Final = ("failed", "late")
"""Outcomes that the objective counts as missed."""
NANO: Final = 10**9
CANCELLED: Final = "CANCELLED"
ANSWERED: Final = types_pb2.ATTEMPT_OUTCOME_ANSWERED

_SPELLED: Final[Mapping[str, Words]] = {
    "strategy": words(types_pb2.Strategy, "STRATEGY_"),
    "purpose": words(types_pb2.AttemptPurpose, "ATTEMPT_PURPOSE_"),
    "cache": words(types_pb2.CacheOutcome, "CACHE_OUTCOME_"),
    "reason": words(types_pb2.DegradationReason, "DEGRADATION_REASON_"),
}
_OF_ATTEMPT: Final = {**_SPELLED, "outcome": words(types_pb2.AttemptOutcome, "ATTEMPT_OUTCOME_")}


AT_ONCE: Final = 64
"""Requests that are counted together: one after the other in a loop, they take half as long as each at its own end."""
_PHASES: Final[Words] = {
    Slot.CACHE: "cache",
    Slot.SHARED_CACHE: "shared_cache",
    Slot.CLASSIFY: "classify",
    Slot.PLAN: "plan",
    Slot.FUSE: "fuse",
}
"""Those that are over when the request is."""


def outcome(answer: types_pb2.Answer, reason: str, left_ms: float) -> str:
    """Return in a word how a request ended."""
    if not reason:
        if left_ms < 0.0:
            return "late"
        return "degraded" if answer.degradations else "answered"
    if reason == CANCELLED:
        return "cancelled"
    return "refused" if reason in REFUSED else "failed"


def _with_misses(requests: Family) -> Family:
    """Tell of late and failed requests also where there were none yet.

    Prometheus sees no increase when a series begins: the first burst of failures would be missing from the objective.
    """
    told = {tuple(sample.labels[label] for label in names.REQUESTS.labels) for sample in requests.samples}
    beside = {(*labels[:-1], miss) for labels in told for miss in MISSES}
    for labels in sorted(beside - told):
        requests.add_sample(names.REQUESTS.name, dict(zip(names.REQUESTS.labels, labels, strict=True)), 0)
    return requests


def _recorded(call: Call) -> str:
    """Return the identifier of a request's trace if there will be one to look at."""
    if call.trace is None:
        return sampled_trace(call.traceparent)
    return call.trace.trace_id if call.trace.kept else ""


class RequestMetrics(Collector):
    """Everything that can be counted when a request ends; satisfies `Observer`.

    Requests and attempts are counted when they end, tokens and money when they are booked: so the sums are those of
    the ledger. The counting itself waits until there are some, or somebody asks.

    Args:
        tenants: who is told apart in any case.
    """

    def __init__(self, tenants: Iterable[str] = ()) -> None:
        self._tenants = Bounded(MOST_TENANTS, tenants)
        labels = ("method", "tier", "variant", "strategy", "outcome", "cache")
        self._requests = Facts(labels, names.SECONDS, _SPELLED)
        self._of_tenant = Facts(("tenant", "outcome"))
        self._first_token = Facts(("tier", "strategy"), names.FIRST_TOKEN_SECONDS, _SPELLED)
        self._time_left = Facts(("tier", "strategy"), names.LEFT_SECONDS, _SPELLED)
        self._errors = Facts(("reason",))
        self._degradations = Facts(("reason", "from_tier", "to_tier"), spelled=_SPELLED)
        self._missed, self._degraded = RecentShare(), RecentShare()
        self._rules, self._gates = Facts(("rule",)), Facts(("verdict",))
        self._gate = Facts(buckets=names.RATIOS)
        self._complexity = Facts(buckets=names.COMPLEXITY.buckets)
        self._r1_suffices = Facts(buckets=names.RATIOS)
        self._attempts = AttemptMetrics(self._tenants)
        self._phases = Facts(("phase",), names.QUICK_SECONDS, {"phase": _PHASES})
        self._ended: list[tuple[types_pb2.Answer, Call, str, str, Sequence[Phase]]] = []
        self._settled: list[tuple[types_pb2.Answer, str]] = []

    def ended(self, ended: Ended) -> None:
        """See a request at its end."""
        # Without the conversation, which may be long.
        self._ended.append((ended.answer, ended.call, ended.method, ended.reason, ended.course.phases))
        if len(self._ended) >= AT_ONCE:
            self._catch_up()

    def settled(self, ended: Ended) -> None:
        """See its tokens when they are counted."""
        self._settled.append((ended.answer, ended.call.tenant))

    def _catch_up(self) -> None:
        """Count what was seen."""
        for answer, call, method, reason, phases in self._ended:
            self._count(answer, call, method, reason)
            for phase in phases:
                if phase.slot in _PHASES:
                    self._phases.note((phase.slot,), phase.ended - phase.started)
        for answer, tenant in self._settled:
            self._attempts.settled(answer, tenant)
        self._ended.clear()
        self._settled.clear()

    def _count(self, answer: types_pb2.Answer, call: Call, method: str, reason: str) -> None:
        plan, target = answer.plan, answer.answered_by
        planned = bool(plan.attempts)
        tier = target.tier
        if not tier and planned:
            target = plan.attempts[0].target
            tier = target.tier
        duration_ms, strategy = answer.duration_ms, plan.strategy
        left_ms = (call.deadline - call.started) * 1000.0 - duration_ms
        how = outcome(answer, reason, left_ms)
        trace = _recorded(call)
        place = (tier or NONE, strategy)
        key = (method, tier or NONE, target.variant or NONE, strategy, how, answer.cache)
        self._requests.note(key, duration_ms / 1000.0, trace)
        self._of_tenant.note((self._tenants.of(call.tenant), how))
        if reason:
            self._errors.note((reason.lower(),), trace_id=trace)
        else:
            self._time_left.note(place, max(0.0, left_ms) / 1000.0, trace)
            self._degraded.add(place[0], how == "degraded")
        if answer.HasField("ttft_ms"):
            self._first_token.note(place, answer.ttft_ms / 1000.0, trace)
        if how not in ("cancelled", "refused"):
            self._missed.add(place[0], how in ("late", "failed"))
        for each in answer.degradations:
            tiers = (each.from_target.tier or NONE, each.to_target.tier or NONE)
            self._degradations.note((each.reason, *tiers), trace_id=trace)
        if planned:
            self._see_plan(answer)
            if not made_elsewhere(answer):
                self._attempts.ended(answer, trace)

    def _see_plan(self, answer: types_pb2.Answer) -> None:
        """Take into account what only a request has that was planned."""
        if answer.plan.rule:
            self._rules.note((answer.plan.rule,))
        if answer.HasField("gate"):
            self._gate.note((), answer.gate.probability)
            self._gates.note(("escalated" if answer.gate.escalated else "kept",))
        if answer.HasField("signals"):
            signals = answer.signals
            self._complexity.note((), signals.complexity.value)
            self._r1_suffices.note((), signals.r1_suffices.value)

    def collect(self) -> Iterator[Family]:
        """Tell all of it."""
        self._catch_up()
        yield _with_misses(self._requests.counts(names.REQUESTS))
        yield self._requests.counts(names.CACHE, lambda values: (values[-1],))
        yield self._requests.distribution(names.REQUEST_SECONDS)
        yield self._of_tenant.counts(names.TENANT_REQUESTS)
        yield self._phases.distribution(names.PHASES)
        yield self._first_token.distribution(names.FIRST_TOKEN)
        yield self._time_left.distribution(names.TIME_LEFT)
        yield self._errors.counts(names.REQUEST_ERRORS)
        yield self._degradations.counts(names.DEGRADATIONS)
        yield gauge(names.DEADLINE_MISSES, self._missed.shares())
        yield gauge(names.DEGRADED, self._degraded.shares())
        yield self._rules.counts(names.RULES)
        yield self._gates.counts(names.GATES)
        yield self._gate.distribution(names.GATE)
        yield self._complexity.distribution(names.COMPLEXITY)
        yield self._r1_suffices.distribution(names.R1_SUFFICES)
        yield from self._attempts.collect()


class AttemptMetrics(Collector):
    """What can be counted of the attempts of a request."""

    def __init__(self, tenants: Bounded) -> None:
        self._tenants = tenants
        model = ("tier", "variant", "model")
        labels = (*model, "purpose", "outcome", "error")
        self._attempts = Facts(labels, names.OPERATION_SECONDS, _OF_ATTEMPT)
        self._queue = Facts(model, names.SECONDS)
        self._first_token = Facts(model, names.FIRST_TOKEN_SECONDS)
        self._first_chunk = Facts(model, names.OPERATION_SECONDS)
        self._per_token = Facts(model, names.PER_TOKEN_SECONDS)
        self._seams = Facts(("from_tier", "to_tier", "reason"), spelled=_SPELLED)
        self._tokens = Facts((*model, "purpose", "direction"), names.TOKENS, _SPELLED)
        self._cost = Facts((*model, "purpose", "by_engine"), spelled=_SPELLED)
        self._tenant_tokens = Facts(("tenant", "direction"))
        self._tenant_cost = Facts(("tenant",))

    def ended(self, answer: types_pb2.Answer, trace: str) -> None:
        """See the attempts of a request at its end."""
        for attempt in answer.attempts:
            target, how, duration_ms = attempt.target, attempt.outcome, attempt.duration_ms
            tier, variant, name = model = (target.tier, target.variant, attempt.model)
            key = (tier, variant, name, attempt.purpose, how, error_of(attempt))
            self._attempts.note(key, duration_ms / 1000.0, trace)
            self._queue.note(model, attempt.queued_ms / 1000.0)
            if attempt.HasField("seam_byte_offset"):
                self._see_seam(answer, attempt, trace)
            if attempt.HasField("ttft_ms"):
                ttft_ms, tokens = attempt.ttft_ms, attempt.usage.output_tokens
                self._first_token.note(model, ttft_ms / 1000.0, trace)
                self._first_chunk.note(model, ttft_ms / 1000.0, trace)
                if how == ANSWERED and tokens > 1:
                    self._per_token.note(model, (duration_ms - ttft_ms) / 1000.0 / (tokens - 1))

    def _see_seam(self, answer: types_pb2.Answer, attempt: types_pb2.Attempt, trace: str) -> None:
        """Count a takeover, by the degradation that led to it."""
        tier = attempt.target.tier
        cause = next((each for each in answer.degradations if each.to_target == attempt.target), None)
        from_tier = cause.from_target.tier if cause else NONE
        self._seams.note((from_tier, tier, cause.reason if cause else 0), trace_id=trace)

    def settled(self, answer: types_pb2.Answer, tenant: str) -> None:
        """See the tokens of its attempts when they are counted."""
        attempts = answer.attempts
        if not attempts or made_elsewhere(answer):
            return
        for attempt in attempts:
            target, purpose, usage = attempt.target, attempt.purpose, attempt.usage
            tier, variant, model = target.tier, target.variant, attempt.model
            key = (tier, variant, model, purpose, "true" if attempt.usage_settled else "false")
            self._cost.note(key, attempt.cost_nano_usd)
            self._tokens.note((tier, variant, model, purpose, "input"), usage.input_tokens)
            self._tokens.note((tier, variant, model, purpose, "output"), usage.output_tokens)
        tenant, used = self._tenants.of(tenant), answer.usage
        self._tenant_cost.note((tenant,), answer.cost_nano_usd)
        self._tenant_tokens.note((tenant, "input"), used.input_tokens)
        self._tenant_tokens.note((tenant, "output"), used.output_tokens)

    def collect(self) -> Iterator[Family]:
        """Tell all of it."""
        yield self._attempts.counts(names.ATTEMPTS)
        yield self._attempts.distribution(names.ATTEMPT_SECONDS)
        yield self._attempts.distribution(names.CLIENT_SECONDS, _as_client)
        yield self._queue.distribution(names.ATTEMPT_QUEUE)
        yield self._first_token.distribution(names.ATTEMPT_FIRST_TOKEN)
        yield self._first_chunk.distribution(names.CLIENT_FIRST_CHUNK, _as_client_model)
        yield self._per_token.distribution(names.ATTEMPT_PER_TOKEN)
        yield self._seams.counts(names.SEAMS)
        yield self._tokens.sums(names.TOKENS_USED)
        yield self._tokens.distribution(names.CLIENT_TOKENS, _as_client_tokens)
        yield self._cost.sums(names.COST, NANO)
        yield self._cost.counts(names.SETTLED)
        yield self._tenant_tokens.sums(names.TENANT_TOKENS)
        yield self._tenant_cost.sums(names.TENANT_COST, NANO)


def _as_client(values: Sequence[str]) -> tuple[str, ...]:
    tier, variant, model, _, _, error = values
    return (*names.GEN_AI, model, error, tier, variant)


def _as_client_model(values: Sequence[str]) -> tuple[str, ...]:
    tier, variant, model = values
    return (*names.GEN_AI, model, tier, variant)


def _as_client_tokens(values: Sequence[str]) -> tuple[str, ...]:
    tier, variant, model, _, direction = values
    return (*names.GEN_AI, model, direction, tier, variant)
