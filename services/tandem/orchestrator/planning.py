"""Signals + policy + state of the models + time → plan: who answers, who instead, and how long each may take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.orchestrator.breaker import CLOSED
from tandem.orchestrator.division import Division, Form
from tandem.orchestrator.live import LiveModel, LiveModels
from tandem.orchestrator.options import Case, Option, options
from tandem.orchestrator.policy import Cause, Policy, parse_target
from tandem.orchestrator.routing import Ask, Known, Route
from tandem.orchestrator.rules import Ruled, Rules
from tandem.orchestrator.sampling import choose
from tandem.orchestrator.share import Choice
from tandem.orchestrator.steering import Counted, Steering, steering_under
from tandem.v1 import orchestrator_pb2, types_pb2

OUTCOMES: Final[Mapping[Cause, types_pb2.AttemptOutcome.ValueType]] = {
    "timeout": types_pb2.ATTEMPT_OUTCOME_TIMEOUT,
    "out_of_memory": types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY,
    "unavailable": types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE,
    "overloaded": types_pb2.ATTEMPT_OUTCOME_OVERLOADED,
}
BYTES_PER_TOKEN: Final = 4
"""For the length of a prompt that nobody has estimated."""


class Planned(NamedTuple):
    """A plan, and what its attempts need to know beside it."""

    plan: types_pb2.Plan
    degradations: list[types_pb2.Degradation]
    """In what the plan is already less than the policy wants."""
    prompt_tokens: int
    """Estimated length of the conversation."""
    allowed: Sequence[str]
    """The tiers that the tenant may use."""
    policy: Policy
    """As it is for this request, under its rule if it has one."""
    choice: Choice | None = None
    """What the live control of the share made of the score; None: there is none, or no score decided."""
    instruction: str | None = None
    """What every model is told beside the question; None: nothing."""


class Planner:
    """Makes plans by one policy and one catalogue.

    Args:
        catalogue: the models.
        policy: the policy.
        live: what is known of the models.
        before: the live control of the share under the policy before, to go on from.
    """

    def __init__(
        self, catalogue: Catalogue, policy: Policy, live: LiveModels, before: Steering | None = None
    ) -> None:
        self.steering = steering_under(policy.routing, catalogue, before)
        """Holds the policy's target; None: it has none."""
        self._known = Known(catalogue, policy, live, self.steering)
        self._policy = policy
        self._live = live
        self._fallbacks = list(_planned_fallbacks(catalogue, policy))
        self._forms: dict[frozenset[str], Form] = {}
        self._rules = Rules(policy) if policy.rules else None
        self._under = {
            ruled.rule.name: replace(self._known, policy=ruled.policy, tier=ruled.rule.tier or "")
            for ruled in (self._rules.all if self._rules else ())
        }

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
        ruled = self._rules.match(signals, call.tenant) if self._rules else None
        known = self._known_under(ruled)
        policy = known.policy
        route = Route(known, Ask(request, signals, call.tenant, call.request_id, cheap_only))
        strategy, form = route.strategy(), self._form(route.usable())
        plan = types_pb2.Plan()
        plan.CopyFrom(form.plan)
        if ruled is not None:
            plan.rule, plan.review_required = ruled.rule.name, ruled.rule.review == "required"
            route.reasons.append(f"rule {ruled.rule.name}")
        best = None
        if strategy == types_pb2.STRATEGY_AUTO:
            best = _best(known, request, signals, call, route)
            strategy = best.strategy if best else types_pb2.STRATEGY_ROUTE
        plan.strategy, plan.deadline_ms = strategy, call.remaining() * 1000.0
        targets = list(best.targets) if best else route.targets(strategy, form.fallbacks)
        prompt_tokens = signals.context_tokens if signals else _estimated_tokens(request)
        instruction = ruled.rule.instruction if ruled else None
        if instruction is not None:
            prompt_tokens += len(instruction) // BYTES_PER_TOKEN
        time = Division(plan, form, known, prompt_tokens, call.deadline)
        time.refuse_if_too_short([v for name in route.allowed for v in self._live.of_tier(name)])
        if strategy == types_pb2.STRATEGY_CASCADE:
            targets = _steps(policy, plan, targets, time, route)
        first = time.divide(targets)
        if first != targets[0]:
            targets = [route.hurry(targets[0], first)]
        plan.reasons.extend(route.reasons)
        route.tell(plan)
        sampling = choose(request.sampling, signals, policy)
        if plan.strategy == types_pb2.STRATEGY_CASCADE:
            time.allow_steps(targets, sampling, policy.cascade)
        else:
            for target in targets:
                time.allow(target, sampling)
        return Planned(
            plan, route.degradations, prompt_tokens, route.allowed, policy, route.choice, instruction
        )

    def options(
        self, request: orchestrator_pb2.GenerateRequest, signals: types_pb2.Signals | None, call: Call
    ) -> list[Option]:
        """Return what each strategy would be worth; nothing if the client or the signals leave no choice."""
        if signals is None or request.tier:
            return []
        known = self._known_under(self._rules.match(signals, call.tenant) if self._rules else None)
        route = Route(known, Ask(request, signals, call.tenant, call.request_id))
        return _options(known, request, signals, call, route.usable())

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

    def _known_under(self, ruled: Ruled | None) -> Known:
        return self._known if ruled is None else self._under[ruled.rule.name]

    def _form(self, usable: set[str]) -> Form:
        """Return what all plans have in common that may use these tiers: to make it anew takes half of the time."""
        key = frozenset(usable)
        if key not in self._forms:
            self._forms[key] = self._new_form(key)
        return self._forms[key]

    def _new_form(self, usable: frozenset[str]) -> Form:
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
        return Form(plan, fallbacks, stand_ins)


def _options(
    known: Known,
    request: orchestrator_pb2.GenerateRequest,
    signals: types_pb2.Signals,
    call: Call,
    usable: set[str],
) -> list[Option]:
    policy = known.policy
    most = request.sampling.max_tokens or policy.sampling.max_tokens
    tokens = min(most, policy.value.expected_tokens)
    usable_ms = call.remaining() * 1000.0 - policy.deadline.margin_ms
    return options(known, Case(signals, usable, tokens, call.deadline, usable_ms))


def _best(
    known: Known,
    request: orchestrator_pb2.GenerateRequest,
    signals: types_pb2.Signals | None,
    call: Call,
    route: Route,
) -> Option | None:
    """Return what is worth most; None if there is no choice, so that the request is routed."""
    if signals is None:
        return None
    found = _options(known, request, signals, call, route.usable())
    best = next((option for option in found if option.best), None)
    if best is not None:
        route.chosen_by = types_pb2.CHOSEN_BY_WORTH
        route.reasons.append(_told(best, found))
    return best


def _steps(
    policy: Policy, plan: types_pb2.Plan, targets: list[types_pb2.Target], time: Division, route: Route
) -> list[types_pb2.Target]:
    """Return the steps of a cascade; of one that cannot be or does not fit, the one model that answers."""
    if len(targets) > 1 and time.fits(targets):
        plan.gate.threshold, plan.gate.refine = policy.cascade.threshold, policy.cascade.refine
        return targets
    if len(targets) > 1:
        route.shorten(*targets)
    plan.strategy = types_pb2.STRATEGY_ROUTE
    return targets[:1]


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
    parts = [part for message in request.messages[:] for part in message.parts[:]]
    return sum([len(part.text) for part in parts]) // BYTES_PER_TOKEN
