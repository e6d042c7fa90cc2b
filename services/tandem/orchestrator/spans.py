"""The spans of one request, made of what its books say: cache, classify, plan, attempts, fuse, record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tandem.enum_words import Enum, enum_words
from tandem.errors import FAULTS
from tandem.orchestrator.content import Captured
from tandem.orchestrator.course import Phase, Slot, attempt_slot, chat_slot
from tandem.orchestrator.ended import Ended
from tandem.orchestrator.record import error_of
from tandem.telemetry.names import Attribute, SpanEvent, SpanName
from tandem.telemetry.spans import CLIENT, Attributes
from tandem.telemetry.trace import Trace
from tandem.telemetry.tracing import Tracing
from tandem.telemetry.wire import TraceSpans
from tandem.v1 import types_pb2

PROVIDER: Final = "triton"
OPERATION: Final = "chat"
ANSWERED: Final = types_pb2.ATTEMPT_OUTCOME_ANSWERED
BYTES: Final = 400
"""About what an answer takes beside its text, and each of its attempts."""
COMPARED: Final = frozenset(
    (types_pb2.ATTEMPT_PURPOSE_VOTE, types_pb2.ATTEMPT_PURPOSE_SAMPLE, types_pb2.ATTEMPT_PURPOSE_SHADOW)
)
"""Purposes of attempts whose answers are compared with others: each is linked to the span where that was done."""


def _words(enum: Enum, prefix: str) -> dict[int, str]:
    return enum_words(enum, prefix, "unspecified")


_STRATEGY: Final = _words(types_pb2.Strategy, "STRATEGY_")
_CHOSEN_BY: Final = _words(types_pb2.ChosenBy, "CHOSEN_BY_")
_CACHE: Final = _words(types_pb2.CacheOutcome, "CACHE_OUTCOME_")
_REASON: Final = _words(types_pb2.DegradationReason, "DEGRADATION_REASON_")
_PURPOSE: Final = _words(types_pb2.AttemptPurpose, "ATTEMPT_PURPOSE_")
_OUTCOME: Final = _words(types_pb2.AttemptOutcome, "ATTEMPT_OUTCOME_")
_FINISH: Final = _words(types_pb2.FinishReason, "FINISH_REASON_")
_TASK: Final = _words(types_pb2.Task, "TASK_")
_DOMAIN: Final = _words(types_pb2.Domain, "DOMAIN_")
_RULE: Final = _words(types_pb2.FusionRule, "FUSION_RULE_")


class RequestSpans:
    """One request that has ended; satisfies `tandem.telemetry.trace.Story`.

    Args:
        tracing: whose spans they are.
        trace: the request's place in its trace.
        ended: its books.
        at: when they were closed, on the clock of `tandem.clock.now()`.
        capture: returns what was said in it; None: nobody opted in.
    """

    def __init__(
        self,
        tracing: Tracing,
        trace: Trace,
        ended: Ended,
        at: float,
        capture: Callable[[Ended], Captured | None],
    ) -> None:
        # Of most requests no spans are made, so all that can wait waits for `hold`.
        self._tracing, self._trace, self._capture = tracing, trace, capture
        self._ended: Ended | None = ended
        self._answer, self._closed = ended.answer, at
        self._settled: float | None = None
        self._apart = False

    def hold(self) -> None:
        """Hold what the spans need, and let go of the rest, such as the conversation, which may be long."""
        ended = self._ended
        if ended is None:
            return
        self._ended = None
        self._said = said = self._capture(ended)
        course, answer = ended.course, ended.answer
        self._call, self._reason = ended.call, ended.reason
        self._phases, self._tried = course.phases, course.tried
        attempts = len(course.tried)
        self.count = len(course.phases) + 2 * attempts + 1
        """How many spans `children` will return, or one more."""
        texts = len(answer.text) + len(answer.reasoning) + (said.size if said else 0)
        self.size = (2 + attempts) * BYTES + texts
        """About how many bytes of memory are held until then."""

    def settle(self, answer: types_pb2.Answer, at: float, *, apart: bool = False) -> None:
        """Note what the engines counted, and when that was known; `apart`: the span of the books is told apart."""
        # Another thread makes the spans, perhaps just now.
        self._apart = apart
        self._answer, self._settled = answer, at

    def attributes(self) -> Attributes:
        """Return what the span of the call says of the request."""
        answer, call, reason = self._answer, self._call, self._reason
        usage = answer.usage
        deadline_ms = (call.deadline - call.started) * 1000.0
        found: Attributes = {
            Attribute.TENANT: call.tenant,
            Attribute.DEADLINE_MS: deadline_ms,
            Attribute.LEFT_MS: deadline_ms - answer.duration_ms,
            Attribute.INPUT_TOKENS: usage.input_tokens,
            Attribute.OUTPUT_TOKENS: usage.output_tokens,
            Attribute.COST_USD: answer.cost_nano_usd / 1e9,
        }
        if answer.HasField("plan"):
            plan = answer.plan
            found[Attribute.STRATEGY] = _STRATEGY[plan.strategy]
            found[Attribute.CHOSEN_BY] = _CHOSEN_BY[plan.chosen_by]
            if plan.rule:
                found[Attribute.RULE] = plan.rule
        if answer.HasField("ttft_ms"):
            found[Attribute.TTFT_MS] = answer.ttft_ms
        if not reason:
            self._add_answer(found)
        # A client that left may have seen something else than planned. Where nobody answered, nothing was degraded.
        if reason not in FAULTS and answer.degradations:
            found[Attribute.DEGRADATIONS] = tuple(_REASON[each.reason] for each in answer.degradations)
        return found

    def _add_answer(self, found: Attributes) -> None:
        """Add what only a request has that was answered."""
        answer = self._answer
        target, cache = answer.answered_by, answer.cache
        if cache:
            found[Attribute.CACHE_OUTCOME] = _CACHE[cache]
        if target.tier:
            found[Attribute.ANSWERED_BY] = _name(target)
        if answer.HasField("confidence"):
            found[Attribute.CONFIDENCE] = answer.confidence
        if answer.source_request_id:
            found[Attribute.CACHE_SOURCE] = answer.source_request_id

    def spans(self) -> TraceSpans:
        """Return what makes its spans."""
        return self._tracing.maker.of(self._trace)

    def events(self, spans: TraceSpans) -> list[bytes]:
        """Return what happened in it: each seam, where another model went on with what was said."""
        attempts = self._answer.attempts[:]
        if len(attempts) < 2:
            return []
        return [
            spans.event(
                SpanEvent.SEAM,
                self._call.started + attempt.started_ms / 1000.0,
                {
                    Attribute.SEAM_OFFSET: attempt.seam_byte_offset,
                    Attribute.SEAM_FROM: _name(_before(attempts, attempt).target),
                    Attribute.SEAM_TO: _name(attempt.target),
                },
            )
            for attempt in attempts
            if attempt.HasField("seam_byte_offset")
        ]

    def whole(self, spans: TraceSpans) -> bytes:
        """Return the span of the request itself, where no span of a call is that."""
        attributes = {Attribute.REQUEST_ID: self._call.request_id, **self.attributes()}
        if self._trace.keep:
            attributes[Attribute.KEEP] = self._trace.keep
        return spans.span(
            SpanName.REQUEST,
            0,
            (self._call.started, self._closed),
            attributes,
            error=self._reason,
            fault=self._reason in FAULTS,
            events=self.events(spans),
        )

    def children(self, spans: TraceSpans) -> list[bytes]:
        """Return the spans below it."""
        made = [self._phase(spans, phase) for phase in self._phases]
        for attempt in self._answer.attempts[:]:
            made.extend(self._attempt(spans, attempt))
        if self._settled is not None and not self._apart:
            made.append(self.record(spans))
        return made

    def record(self, spans: TraceSpans) -> bytes:
        """Return the span of the books: from the end of the request until every token is counted."""
        settled = all(attempt.usage_settled for attempt in self._answer.attempts[:])
        return spans.span(
            SpanName.RECORD,
            Slot.RECORD,
            (self._closed, self._closed if self._settled is None else self._settled),
            {Attribute.SETTLED: settled},
        )

    def _phase(self, spans: TraceSpans, phase: Phase) -> bytes:
        slot = phase.slot
        name, facts = _PHASES[slot]
        times = (phase.started, phase.ended)
        return spans.span(name, slot, times, facts(self._answer), error=phase.error)

    def _attempt(self, spans: TraceSpans, attempt: types_pb2.Attempt) -> list[bytes]:
        """Return the spans of an attempt and of its call to the model, which begins when a place is free."""
        begun = self._call.started + attempt.started_ms / 1000.0
        end = begun + attempt.duration_ms / 1000.0
        index, outcome, queued_ms = attempt.index, attempt.outcome, attempt.queued_ms
        error = error_of(attempt)
        target, slot = attempt.target, attempt_slot(index)
        around = spans.span(
            SpanName.ATTEMPT,
            slot,
            (begun - queued_ms / 1000.0, end),
            {
                Attribute.ATTEMPT: index,
                Attribute.PURPOSE: _PURPOSE[attempt.purpose],
                Attribute.OUTCOME: _OUTCOME[outcome],
                Attribute.TIER: target.tier,
                Attribute.VARIANT: target.variant,
                Attribute.QUEUED_MS: queued_ms,
                Attribute.ALLOWANCE_MS: attempt.allowance_ms,
            },
            error=error,
            events=self._links(spans, attempt),
        )
        first = attempt.ttft_ms / 1000.0 if attempt.HasField("ttft_ms") else None
        chat = spans.span(
            f"{SpanName.CHAT} {attempt.model}",
            chat_slot(index),
            (begun, end),
            self._gen_ai(attempt, first),
            below=slot,
            kind=CLIENT,
            error=error,
            events=[] if first is None else [spans.event(SpanEvent.FIRST_TOKEN, begun + first, {})],
        )
        return [around, chat]

    def _gen_ai(self, attempt: types_pb2.Attempt, first: float | None) -> Attributes:
        index, model, usage, finish = attempt.index, attempt.model, attempt.usage, attempt.finish_reason
        sampling = self._tried[index].sampling
        top_k = sampling.top_k
        found: Attributes = {
            Attribute.GEN_AI_OPERATION: OPERATION,
            Attribute.GEN_AI_PROVIDER: PROVIDER,
            Attribute.GEN_AI_MODEL: model,
            Attribute.GEN_AI_STREAM: True,
            Attribute.GEN_AI_MAX_TOKENS: sampling.max_tokens,
            Attribute.GEN_AI_TEMPERATURE: sampling.temperature,
            Attribute.GEN_AI_TOP_P: sampling.top_p,
            Attribute.GEN_AI_TOP_K: top_k if self._tracing.latest_gen_ai else float(top_k),
            Attribute.GEN_AI_RESPONSE_ID: f"{self._call.request_id}/{index}",
            Attribute.GEN_AI_INPUT_TOKENS: usage.input_tokens,
            Attribute.GEN_AI_OUTPUT_TOKENS: usage.output_tokens,
        }
        if sampling.HasField("seed"):
            found[Attribute.GEN_AI_SEED] = sampling.seed
        if first is not None:
            found[Attribute.GEN_AI_FIRST_CHUNK] = first
        if finish:
            found[Attribute.GEN_AI_RESPONSE_MODEL] = model
            found[Attribute.GEN_AI_FINISH_REASONS] = (_FINISH[finish],)
        if self._said:
            found[Attribute.GEN_AI_INPUT_MESSAGES] = self._said.asked()
            if attempt.outcome == ANSWERED and attempt.target == self._answer.answered_by:
                answered = self._said.answered(self._answer, _FINISH[finish])
                found[Attribute.GEN_AI_OUTPUT_MESSAGES] = answered
        return found

    def _links(self, spans: TraceSpans, attempt: types_pb2.Attempt) -> list[bytes]:
        if attempt.purpose not in COMPARED:
            return []
        fused = any(phase.slot == Slot.FUSE for phase in self._phases)
        return [spans.link(Slot.FUSE, _PURPOSE[attempt.purpose])] if fused else []


def _of_signals(answer: types_pb2.Answer) -> Attributes:
    if not answer.HasField("signals"):
        return {}
    signals = answer.signals
    return {
        Attribute.COMPLEXITY: signals.complexity.value,
        Attribute.R1_SUFFICES: signals.r1_suffices.value,
        Attribute.TASK: _TASK[signals.task.value],
        Attribute.DOMAIN: _DOMAIN[signals.domain.value],
        Attribute.LANGUAGE: signals.language.value,
        Attribute.ARTIFACT_REVISION: signals.artifact_revision,
    }


def _of_plan(answer: types_pb2.Answer) -> Attributes:
    if not answer.HasField("plan"):
        return {}
    plan = answer.plan
    found: Attributes = {
        Attribute.POLICY_REVISION: plan.policy_revision,
        Attribute.MARGIN_MS: plan.margin_ms,
        Attribute.RESERVE_MS: plan.reserve_ms,
    }
    if plan.HasField("threshold"):
        found[Attribute.THRESHOLD] = plan.threshold
    return found


def _of_fusion(answer: types_pb2.Answer) -> Attributes:
    if not answer.HasField("fusion"):
        return {}
    fusion = answer.fusion
    return {Attribute.AGREEMENT: fusion.agreement, Attribute.FUSION_RULE: _RULE[fusion.rule]}


_PHASES: Final[Mapping[int, tuple[str, Callable[[types_pb2.Answer], Attributes]]]] = {
    Slot.CACHE: (SpanName.CACHE, lambda _: {Attribute.CACHE_LEVEL: "memory"}),
    Slot.SHARED_CACHE: (SpanName.CACHE, lambda _: {Attribute.CACHE_LEVEL: "shared"}),
    Slot.CLASSIFY: (SpanName.CLASSIFY, _of_signals),
    Slot.PLAN: (SpanName.PLAN, _of_plan),
    Slot.FUSE: (SpanName.FUSE, _of_fusion),
}
"""What the span of each part is called, and what it says."""


def _before(attempts: Sequence[types_pb2.Attempt], attempt: types_pb2.Attempt) -> types_pb2.Attempt:
    """Return the attempt that another one took over from: the last that was shown."""
    shown = (each for each in reversed(attempts[: attempt.index]) if each.purpose not in COMPARED)
    return next(shown, attempts[0])


def _name(target: types_pb2.Target) -> str:
    return f"{target.tier}/{target.variant}"
