"""Signals + policy + state of the models + time → plan: who answers, who instead, and how long each may take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.errors import DeadlineTooShort, Details
from tandem.orchestrator.breaker import CLOSED
from tandem.orchestrator.cascade_policy import Cascade
from tandem.orchestrator.latency import LEAST_TOKENS
from tandem.orchestrator.live import P95, LiveModel, LiveModels
from tandem.orchestrator.options import Case, Option, options
from tandem.orchestrator.policy import Cause, Policy, parse_target
from tandem.orchestrator.routing import Ask, Known, Route
from tandem.orchestrator.sampling import choose
from tandem.orchestrator.share import Choice
from tandem.orchestrator.steering import Counted, Steering
from tandem.v1 import orchestrator_pb2, types_pb2

OUTCOMES: Final[Mapping[Cause, types_pb2.AttemptOutcome.ValueType]] = {
    "timeout": types_pb2.ATTEMPT_OUTCOME_TIMEOUT,
    "out_of_memory": types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY,
    "unavailable": types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE,
    "overloaded": types_pb2.ATTEMPT_OUTCOME_OVERLOADED,
}
BYTES_PER_TOKEN: Final = 4
"""For the length of a prompt that nobody has estimated."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what its attempts need to know beside it."""

    plan: types_pb2.Plan
    degradations: list[types_pb2.Degradation]
    """In what the plan is already less than the policy wants."""
    prompt_tokens: int
    """Estimated length of the conversation."""
    allowed: Sequence[str]
    """The tiers that the tenant may use."""
    choice: Choice | None = None
    """What the live control of the share made of the score; None: there is none, or no score decided."""


class Planner:
    """Makes plans by one policy and one catalogue."""

    def __init__(self, catalogue: Catalogue, policy: Policy, live: LiveModels) -> None:
        target = policy.routing.target
        self.steering = Steering(policy.routing, target, catalogue) if target else None
        """Holds the policy's target; None: it has none."""
        self._known = Known(catalogue, policy, live, self.steering)
        self._policy = policy
        self._live = live
        self._fallbacks = list(_planned_fallbacks(catalogue, policy))
        self._forms: dict[frozenset[str], _Form] = {}

    def plan(
        self,
        request: orchestrator_pb2.GenerateRequest,
        signals: types_pb2.Signals | None,
        call: Call,
        cheap_only: str = "",
    ) -> Planned:
        """Return the plan.

        Args:
            request: the question; valid by its contract.
            signals: what the classifier found, or None if it was late or broken.
            call: who asks, and until when.
            cheap_only: why the tenant's budget allows the cheap tier only. Empty: it does not.

        Raises:
            TandemError: UnknownTier, UnknownVariant, TierNotEntitled, ModalityUnsupported, StrategyUnsupported, or
                DeadlineTooShort.
        """
        route = Route(self._known, Ask(request, signals, call.tenant, call.request_id, cheap_only))
        strategy, form = route.strategy(), self._form(route.usable())
        plan = types_pb2.Plan()
        plan.CopyFrom(form.plan)
        best = self._best(request, signals, call, route) if strategy == types_pb2.STRATEGY_AUTO else None
        if strategy == types_pb2.STRATEGY_AUTO:
            strategy = best.strategy if best else types_pb2.STRATEGY_ROUTE
        plan.strategy, plan.deadline_ms = strategy, call.remaining() * 1000.0
        targets = list(best.targets) if best else route.targets(strategy, form.fallbacks)
        prompt_tokens = signals.context_tokens if signals else _estimated_tokens(request)
        time = _Time(plan, form, self._known, prompt_tokens, call.deadline)
        time.refuse_if_too_short([v for name in route.allowed for v in self._live.of_tier(name)])
        if strategy == types_pb2.STRATEGY_CASCADE:
            targets = self._cascade(plan, targets, time, route)
        first = time.divide(targets)
        if first != targets[0]:
            targets = [route.hurry(targets[0], first)]
        plan.reasons.extend(route.reasons)
        route.tell_share(plan)
        sampling = choose(request.sampling, signals, self._policy)
        if plan.strategy == types_pb2.STRATEGY_CASCADE:
            time.allow_steps(targets, sampling, self._policy.cascade)
        else:
            for target in targets:
                time.allow(target, sampling)
        return Planned(plan, route.degradations, prompt_tokens, route.allowed, route.choice)

    def options(
        self, request: orchestrator_pb2.GenerateRequest, signals: types_pb2.Signals | None, call: Call
    ) -> list[Option]:
        """Return what each strategy would be worth; nothing if the client or the signals leave no choice."""
        if signals is None or request.tier:
            return []
        route = Route(self._known, Ask(request, signals, call.tenant, call.request_id))
        return self._options(request, signals, call, route.usable())

    def _options(
        self,
        request: orchestrator_pb2.GenerateRequest,
        signals: types_pb2.Signals,
        call: Call,
        usable: set[str],
    ) -> list[Option]:
        policy = self._policy
        most = request.sampling.max_tokens or policy.sampling.max_tokens
        tokens = min(most, policy.value.expected_tokens)
        usable_ms = call.remaining() * 1000.0 - policy.deadline.margin_ms
        return options(self._known, Case(signals, usable, tokens, call.deadline, usable_ms))

    def _best(
        self,
        request: orchestrator_pb2.GenerateRequest,
        signals: types_pb2.Signals | None,
        call: Call,
        route: Route,
    ) -> Option | None:
        """Return what is worth most; None if there is no choice, so that the request is routed."""
        if signals is None:
            return None
        found = self._options(request, signals, call, route.usable())
        best = next((option for option in found if option.best), None)
        if best is not None:
            route.reasons.append(_told(best, found))
        return best

    def _cascade(
        self, plan: types_pb2.Plan, targets: list[types_pb2.Target], time: _Time, route: Route
    ) -> list[types_pb2.Target]:
        """Return the steps of a cascade; of one that cannot be or does not fit, the one model that answers."""
        if len(targets) > 1 and time.fits(targets):
            cascade = self._policy.cascade
            plan.gate.threshold, plan.gate.refine = cascade.threshold, cascade.refine
            return targets
        if len(targets) > 1:
            route.shorten(*targets)
        plan.strategy = types_pb2.STRATEGY_ROUTE
        return targets[:1]

    def count(self, planned: Planned) -> Counted | None:
        """Tell the live control of a plan that is going to be run; None: there is no such control."""
        if self.steering is None:
            return None
        strong = self._policy.routing.strong
        # A cascade may ask it later: that counts when it has.
        asked = any(
            attempt.target.tier == strong and attempt.purpose != types_pb2.ATTEMPT_PURPOSE_ESCALATION
            for attempt in planned.plan.attempts
        )
        sick = self._live.of_tier(strong)[0].breaker.state != CLOSED
        return self.steering.count(strong=asked, choice=planned.choice, sick=sick)

    def states(self, planned: Planned, call: Call) -> list[types_pb2.ModelState]:
        """Return what is known of every model that the tenant may use."""
        models = [model for name in planned.allowed for model in self._live.of_tier(name)]
        return [model.state(planned.prompt_tokens, call.deadline) for model in models]

    def _form(self, usable: set[str]) -> _Form:
        """Return what all plans have in common that may use these tiers: to make it anew takes half of the time."""
        key = frozenset(usable)
        if key not in self._forms:
            self._forms[key] = self._new_form(key)
        return self._forms[key]

    def _new_form(self, usable: frozenset[str]) -> _Form:
        fallbacks = [row for row in self._fallbacks if row.target.tier in usable]
        plan = types_pb2.Plan(
            margin_ms=self._policy.deadline.margin_ms,
            policy_revision=self._policy.revision,
            fallbacks=fallbacks,
        )
        stand_ins: dict[str, list[LiveModel]] = {}
        for row in fallbacks:
            if row.on == types_pb2.ATTEMPT_OUTCOME_TIMEOUT:
                stand_ins.setdefault(row.from_tier, []).append(self._live.of(row.target))
        return _Form(plan, fallbacks, stand_ins)


@dataclass(frozen=True, slots=True)
class _Form:
    """What all plans have in common that may use the same tiers."""

    plan: types_pb2.Plan
    """Such a plan, without what is its own. It is copied, never changed."""
    fallbacks: Sequence[types_pb2.PlannedFallback]
    """Those of the plan."""
    stand_ins: Mapping[str, Sequence[LiveModel]]
    """By tier, who may answer when one of its models hangs, in the policy's order."""


class _Time:
    """The time of one plan, divided: deadline = margin + reserve + allowance of the first attempt."""

    def __init__(
        self, plan: types_pb2.Plan, form: _Form, known: Known, prompt_tokens: int, deadline: float
    ) -> None:
        self._plan = plan
        self._form = form
        self._live = known.live
        self._policy = known.policy.deadline
        self._fuse_ms = known.policy.ensemble.fuse_ms
        self._prompt_tokens = prompt_tokens
        self._deadline = deadline
        self._usable_ms = plan.deadline_ms - plan.margin_ms

    def refuse_if_too_short(self, models: Sequence[LiveModel]) -> None:
        """Refuse a deadline in which no model usually gives a token."""
        if any(self._usable_ms >= self._shortest_ms(model) for model in models):
            return
        total_ms = min(map(self._shortest_ms, models)) + self._plan.margin_ms
        granted_ms = self._plan.deadline_ms
        raise DeadlineTooShort(
            f"the deadline leaves {granted_ms:.0f} ms, but the quickest answer needs {total_ms:.0f} ms; "
            f"grant at least {total_ms:.0f} ms",
            Details(metadata={"needed_ms": f"{total_ms:.0f}", "granted_ms": f"{granted_ms:.0f}"}),
        )

    def fits(self, targets: Sequence[types_pb2.Target]) -> bool:
        """Return whether each of several models surely gives the beginning of an answer, one after the other."""
        needed_ms = sum(self._short_ms(self._live.of(target), LEAST_TOKENS) for target in targets)
        return needed_ms <= self._usable_ms

    def divide(self, targets: Sequence[types_pb2.Target]) -> types_pb2.Target:
        """Set the reserve; return who answers first.

        The reserve is for a short answer by the slowest of those who stand in when the first attempt hangs, and of who
        has the second step of a cascade. Where it leaves the first model less time than it is likely to need for its
        first token, a quicker one answers first, unless there is a second step.
        """
        plan, first = self._plan, targets[0]
        if plan.strategy == types_pb2.STRATEGY_ENSEMBLE:
            plan.reserve_ms = min(self._fuse_ms, self._usable_ms / 2)
            return first
        cascade = plan.strategy == types_pb2.STRATEGY_CASCADE
        stand_ins = self._stand_ins(first)
        if cascade:
            stand_ins.append(self._live.of(targets[-1]))
        if not stand_ins:
            return first
        wanted = self._policy.fallback_tokens
        wanted_ms, slowest = max(
            ((self._short_ms(m, wanted), m) for m in stand_ins), key=lambda pair: pair[0]
        )
        reserve_ms = min(wanted_ms, self._usable_ms * self._policy.reserve_share)
        quicker = None if cascade else self._quicker(first, stand_ins, self._usable_ms - reserve_ms)
        if quicker is not None:
            return self.divide([quicker])
        # What would leave the first attempt no time for a token helps nobody.
        plan.reserve_ms = min(reserve_ms, max(0.0, self._usable_ms - self._shortest_ms(self._live.of(first))))
        # The time to the first token is part of what is wanted; what is missing is missing in tokens.
        missing = (wanted_ms - plan.reserve_ms) / slowest.latency.tpot_ms(P95)
        plan.fallback_tokens = max(0, wanted - math.ceil(missing - 1e-6))
        return first

    def allow(self, target: types_pb2.Target, sampling: types_pb2.Sampling) -> None:
        """Plan an attempt with all of the time that is not kept for something else."""
        plan, model = self._plan, self._live.of(target)
        vote = plan.strategy == types_pb2.STRATEGY_ENSEMBLE
        plan.attempts.add(
            target=target,
            purpose=types_pb2.ATTEMPT_PURPOSE_VOTE if vote else types_pb2.ATTEMPT_PURPOSE_PRIMARY,
            sampling=sampling,
            allowance_ms=self._usable_ms - plan.reserve_ms,
            queue_ms=model.admission.wait_ms(self._deadline),
            patience_ms=model.patience_ms(self._prompt_tokens),
        )

    def allow_steps(
        self, targets: Sequence[types_pb2.Target], sampling: types_pb2.Sampling, cascade: Cascade
    ) -> None:
        """Plan a draft, its samples, and a second step in what is kept for it at least."""
        draft, strong = targets
        self.allow(draft, sampling)
        for _ in range(cascade.samples):
            self.allow(draft, sampling)
            sample = self._plan.attempts[-1]
            sample.purpose = types_pb2.ATTEMPT_PURPOSE_SAMPLE
            sample.sampling.temperature = max(sample.sampling.temperature, cascade.sample_temperature)
            sample.sampling.ClearField("seed")
        self.allow(strong, sampling)
        second = self._plan.attempts[-1]
        second.purpose, second.allowance_ms = types_pb2.ATTEMPT_PURPOSE_ESCALATION, self._plan.reserve_ms

    def _stand_ins(self, first: types_pb2.Target) -> list[LiveModel]:
        """Return who may answer when a model hangs, in the policy's order."""
        stand_ins = self._form.stand_ins.get(first.tier, ())
        return [model for model in stand_ins if model.target != first and model.breaker.admits]

    def _quicker(
        self, first: types_pb2.Target, stand_ins: Sequence[LiveModel], allowance_ms: float
    ) -> types_pb2.Target | None:
        """Return who is quicker than a model that is likely to need longer than its allowance; None: nobody is."""
        needed_ms = self._surely_ms(self._live.of(first), 1)
        if allowance_ms >= needed_ms:
            return None
        within_ms = min(needed_ms, self._usable_ms)
        return next((model.target for model in stand_ins if self._surely_ms(model, 1) < within_ms), None)

    def _shortest_ms(self, model: LiveModel) -> float:
        return model.latency.short_ms(0.5, self._prompt_tokens, 1)

    def _surely_ms(self, model: LiveModel, tokens: int) -> float:
        return model.latency.short_ms(P95, self._prompt_tokens, tokens)

    def _short_ms(self, model: LiveModel, tokens: int) -> float:
        """Return the time in which a model surely gives a short answer, its wait for a place included."""
        return model.admission.wait_ms(self._deadline) + self._surely_ms(model, tokens)


def _told(best: Option, found: Sequence[Option]) -> str:
    """Say in words which option was chosen, and over which."""
    name = types_pb2.Strategy.Name(best.strategy).removeprefix("STRATEGY_").lower()
    tiers = ", ".join(target.tier for target in best.targets)
    what = "is worth most" if best.fits else "is the quickest, and none surely fits the deadline"
    return (
        f"auto: {name} ({tiers}) {what} of {len(found)}: {best.expected_correctness:.0%} right for "
        f"${best.cost_nano_usd / 1e9:.6f}"
    )


def _planned_fallbacks(catalogue: Catalogue, policy: Policy) -> Iterator[types_pb2.PlannedFallback]:
    """Yield what may answer instead, for every tier of the catalogue and every kind of failure."""
    for tier in catalogue.tiers:
        for cause, outcome in OUTCOMES.items():
            row = policy.fallbacks_for(tier, cause)
            for name in row.to if row else ():
                target = parse_target(name)
                target.variant = target.variant or catalogue.tier(target.tier).default_variant
                yield types_pb2.PlannedFallback(
                    on=outcome, from_tier=tier, target=target, max_tokens=row.max_tokens if row else None
                )


def _estimated_tokens(request: orchestrator_pb2.GenerateRequest) -> int:
    return sum(len(part.text) for message in request.messages for part in message.parts) // BYTES_PER_TOKEN
