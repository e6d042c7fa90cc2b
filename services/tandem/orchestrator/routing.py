"""Which models a request gets, and why: signals, policy, entitlement, what can read the request, who is well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tandem.catalogue import Catalogue
from tandem.errors import ModalityUnsupported, StrategyUnsupported, TierNotEntitled
from tandem.modality import modalities, name_of
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.policy import Policy, parse_target
from tandem.orchestrator.record import CAUSES
from tandem.orchestrator.share import Choice
from tandem.orchestrator.steering import Steering
from tandem.v1 import orchestrator_pb2, types_pb2

# Probabilities travel as 32-bit floats: 0.7 arrives as 0.69999999.
_FLOAT32: Final = 1e-6
_STRATEGIES: Final[Mapping[str, types_pb2.Strategy.ValueType]] = {
    name.removeprefix("STRATEGY_").lower(): value for name, value in types_pb2.Strategy.items()
}


@dataclass(frozen=True, slots=True)
class Known:
    """What every request is routed by."""

    catalogue: Catalogue
    policy: Policy
    live: LiveModels
    steering: Steering | None = None
    """Moves the thresholds; None: they stay as the policy has them."""
    tier: str = ""
    """The target that a rule of the policy names, `tier` or `tier/variant`. Empty: the score decides."""


class Ask(NamedTuple):
    """What one request brings."""

    request: orchestrator_pb2.GenerateRequest
    """The question; valid by its contract."""
    signals: types_pb2.Signals | None
    """What the classifier found, or None if it was late or broken."""
    tenant: str
    request_id: str
    cheap_only: str = ""
    """Why the tenant's budget allows the cheap tier only. Empty: it does not."""


class Route:
    """The choice of models for one request, with the reasons it leaves behind."""

    def __init__(self, known: Known, ask: Ask) -> None:
        self._catalogue, self._policy, self._live = known.catalogue, known.policy, known.live
        self._steering, self._named = known.steering, known.tier
        self._request, self._signals, self._tenant = ask.request, ask.signals, ask.tenant
        self._request_id, self._cheap_only = ask.request_id, ask.cheap_only
        self._needed = frozenset(modalities(ask.request.messages))
        self.allowed = (self._policy.routing.cheap,) if ask.cheap_only else self._policy.tiers_of(ask.tenant)
        self.reasons: list[str] = []
        self.degradations: list[types_pb2.Degradation] = []
        self.chosen_by = types_pb2.CHOSEN_BY_UNSPECIFIED
        """What chose the models."""
        self.threshold: float | None = None
        """What the score was compared with; None: no score decided."""
        self.choice: Choice | None = None
        """What the live control made of the score; None: there is none, or no score decided."""
        self._usable: set[str] | None = None
        self._moved: tuple[float, float] | None = None

    def strategy(self) -> types_pb2.Strategy.ValueType:
        """Return the strategy; asking for a tier is asking for one tier."""
        asked = self._request.strategy
        if asked == types_pb2.STRATEGY_SHADOW:
            raise StrategyUnsupported(
                "strategy shadow is not offered by this deployment; use route, cascade, ensemble or auto"
            )
        if self._request.tier:
            return types_pb2.STRATEGY_ROUTE
        return asked or _STRATEGIES[self._policy.strategy]

    def targets(
        self, strategy: types_pb2.Strategy.ValueType, fallbacks: Sequence[types_pb2.PlannedFallback]
    ) -> list[types_pb2.Target]:
        """Return the models that start without a failure; `fallbacks` tell who stands in for one that is sick."""
        if self._request.tier:
            self.chosen_by = types_pb2.CHOSEN_BY_CLIENT
            return [self._well(self._asked_target(), fallbacks)]
        if strategy == types_pb2.STRATEGY_ENSEMBLE:
            return self._voices()
        if strategy == types_pb2.STRATEGY_CASCADE and (steps := self._steps(fallbacks)):
            return steps
        return [self._well(self._chosen(), fallbacks)]

    def tell(self, plan: types_pb2.Plan) -> None:
        """Tell what chose the models, and what the live control did if there is one."""
        plan.chosen_by = self.chosen_by
        if self.threshold is not None:
            plan.threshold = self.threshold
        if self._steering is None:
            return
        self._steering.tell(plan.share_control)
        if self._moved:
            plan.share_control.configured_threshold, plan.share_control.threshold = self._moved

    def usable(self) -> set[str]:
        """Return the tiers that the tenant may use and that can read the request."""
        if self._usable is None:
            self._usable = {tier for tier in self.allowed if self._reads(tier)}
        return self._usable

    def hurry(self, planned: types_pb2.Target, quicker: types_pb2.Target) -> types_pb2.Target:
        """Return a quicker model for a deadline that is too short for the planned one."""
        detail = f"the deadline is too short for {planned.tier}/{planned.variant} to begin in time"
        self._degrade(types_pb2.DEGRADATION_REASON_DEADLINE, planned, quicker, detail)
        return quicker

    def _asked_target(self) -> types_pb2.Target:
        tier, variant = self._request.tier, self._request.variant
        self._catalogue.variant(tier, variant)
        entitled = self._policy.tiers_of(self._tenant)
        if tier not in entitled:
            raise TierNotEntitled(
                f"tenant {self._tenant} may not use tier {tier}; it may use {', '.join(entitled)}"
            )
        if tier not in self.allowed:
            return self._first_variant(self._readable(self._entitled(tier)))
        if not self._reads(tier):
            raise self._unreadable([tier])
        self.reasons.append(f"the client asked for tier {tier}")
        return self._target(f"{tier}/{variant}" if variant else tier)

    def _chosen(self) -> types_pb2.Target:
        """Return who answers by the rule or the score, the entitlement, and what can read the request."""
        named = parse_target(self._named) if self._named else None
        if named:
            self.chosen_by = types_pb2.CHOSEN_BY_RULE
        tier = self._readable(self._entitled(named.tier if named else self._wanted_tier()))
        if named and named.variant and tier == named.tier:
            return named
        return self._first_variant(tier)

    def _wanted_tier(self) -> str:
        routing = self._policy.routing
        if self._signals is None:
            self.chosen_by = types_pb2.CHOSEN_BY_DEFAULT
            self.reasons.append(f"no signals: the policy's default is {routing.undecided}")
            return routing.undecided
        probability, threshold = self._signals.r1_suffices.value, routing.threshold_for(self._signals)
        if self._steering:
            suffices, threshold = self._steered(self._steering, probability, threshold)
        else:
            suffices = probability >= threshold - _FLOAT32
        self.chosen_by, self.threshold = types_pb2.CHOSEN_BY_SCORE, threshold
        comparison = "≥" if suffices else "<"
        self.reasons.append(
            f"{routing.cheap} suffices: {probability:.2f} {comparison} threshold {threshold:.2f}"
        )
        if self._steering and self._moved:
            self.reasons.append(self._steering.told(*self._moved))
        self.reasons.extend(self._signals.reasons[:])
        return routing.cheap if suffices else routing.strong

    def _steered(self, steering: Steering, probability: float, configured: float) -> tuple[bool, float]:
        """Let the live control choose; return whether the cheap tier suffices, and the threshold as it was moved."""
        choice = steering.choose(probability, configured, self._request_id)
        threshold = min(1.0, max(0.0, configured + choice.shift))
        if self._policy.routing.cheap in self.usable() and self._policy.routing.strong in self.usable():
            self.choice = choice
        self._moved = configured, threshold
        return not choice.strong, threshold

    def _entitled(self, tier: str) -> str:
        if tier in self.allowed:
            return tier
        instead = self.allowed[0]
        if self._cheap_only:
            reason, detail = types_pb2.DEGRADATION_REASON_BUDGET, f"{self._cheap_only}; {instead} answers"
        else:
            reason = types_pb2.DEGRADATION_REASON_NOT_ENTITLED
            detail = f"tenant {self._tenant} may not use tier {tier}; {instead} answers"
        self._degrade(reason, self._first_variant(tier), self._first_variant(instead), detail)
        return instead

    def _readable(self, tier: str) -> str:
        usable = self.usable()
        if tier in usable:
            return tier
        able = [name for name in self.allowed if name in usable]
        if not able:
            raise self._unreadable(self.allowed)
        self.chosen_by = types_pb2.CHOSEN_BY_MODALITY
        self.reasons.append(f"{tier} cannot read every part of the request")
        return able[0]

    def _well(
        self, target: types_pb2.Target, fallbacks: Sequence[types_pb2.PlannedFallback]
    ) -> types_pb2.Target:
        """Return the target, or who stands in for it while its breaker keeps requests off."""
        breaker = self._live.of(target).breaker
        if breaker.admits:
            return target
        for row in fallbacks:
            stands_in = row.on == breaker.cause and row.from_tier == target.tier and row.target != target
            if stands_in and self._live.of(row.target).breaker.admits:
                detail = (
                    f"{target.tier}/{target.variant} has failed too often and gets no requests for a while"
                )
                self._degrade(CAUSES[breaker.cause], target, row.target, detail)
                return row.target
        return target

    def _voices(self) -> list[types_pb2.Target]:
        self.chosen_by = types_pb2.CHOSEN_BY_STRATEGY
        targets = [self._target(name) for name in self._policy.ensemble.targets]
        voices = [t for t in targets if t.tier in self.allowed and self._reads(t.tier)]
        if not voices:
            voices = [self._first_variant(self._readable(self.allowed[0]))]
        for tier in dict.fromkeys(target.tier for target in targets):
            if tier not in self.allowed:
                self._entitled(tier)
        self.reasons.append(f"an ensemble of {len(voices)}")
        return voices

    def _steps(self, fallbacks: Sequence[types_pb2.PlannedFallback]) -> list[types_pb2.Target]:
        """Return who drafts and who answers if the draft does not pass; nothing if one of the two cannot."""
        routing = self._policy.routing
        if not {routing.cheap, routing.strong} <= self.usable():
            self.reasons.append(f"no cascade: it takes both {routing.cheap} and {routing.strong}")
            return []
        self.chosen_by = types_pb2.CHOSEN_BY_STRATEGY
        draft = self._well(self._first_variant(routing.cheap), fallbacks)
        if draft.tier == routing.strong:
            return [draft]
        self.reasons.append(
            f"a cascade: {routing.cheap} drafts, {routing.strong} answers below {self._policy.cascade.threshold:.2f}"
        )
        return [draft, self._first_variant(routing.strong)]

    def shorten(self, draft: types_pb2.Target, strong: types_pb2.Target) -> None:
        """State that the deadline leaves no time for the second step of a cascade."""
        detail = f"the deadline leaves no time for {strong.tier} after a draft; {draft.tier} alone answers"
        self._degrade(types_pb2.DEGRADATION_REASON_DEADLINE, strong, draft, detail)

    def _reads(self, tier: str) -> bool:
        return self._needed.issubset(self._catalogue.tier(tier).modalities)

    def _unreadable(self, tiers: Sequence[str]) -> ModalityUnsupported:
        readable = {
            name: ", ".join(name_of(m) for m in self._catalogue.tier(name).modalities) for name in tiers
        }
        needed = ", ".join(name_of(m) for m in sorted(self._needed))
        listed = "; ".join(f"{name} reads {words}" for name, words in readable.items())
        return ModalityUnsupported(
            f"no tier that may answer can read {needed}: {listed}; send only such parts"
        )

    def _target(self, name: str) -> types_pb2.Target:
        target = parse_target(name)
        return target if target.variant else self._first_variant(target.tier)

    def _first_variant(self, tier: str) -> types_pb2.Target:
        return self._live.of_tier(tier)[0].target

    def _degrade(
        self,
        reason: types_pb2.DegradationReason.ValueType,
        planned: types_pb2.Target,
        instead: types_pb2.Target,
        detail: str,
    ) -> None:
        self.reasons.append(detail)
        self.degradations.append(
            types_pb2.Degradation(reason=reason, from_target=planned, to_target=instead, detail=detail)
        )
