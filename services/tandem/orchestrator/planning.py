"""Signals + policy + time → plan. Pure: the same input gives the same plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tandem.catalogue import Catalogue, Variant
from tandem.errors import DeadlineTooShort, Details, ModalityUnsupported, StrategyUnsupported, TierNotEntitled
from tandem.modality import modalities, name_of
from tandem.orchestrator.policy import Cause, Policy, parse_target
from tandem.orchestrator.sampling import choose
from tandem.v1 import orchestrator_pb2, types_pb2

OUTCOMES: Final[Mapping[Cause, types_pb2.AttemptOutcome.ValueType]] = {
    "timeout": types_pb2.ATTEMPT_OUTCOME_TIMEOUT,
    "out_of_memory": types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY,
    "unavailable": types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE,
}
FUSE_MS: Final = 25.0
"""Kept from the voices of an ensemble for the vote."""

# Probabilities travel as 32-bit floats: 0.7 arrives as 0.69999999.
_FLOAT32: Final = 1e-6


class Planner:
    """Makes plans by one policy and one catalogue."""

    def __init__(self, catalogue: Catalogue, policy: Policy) -> None:
        self._catalogue = catalogue
        self._policy = policy
        self._fallbacks = list(_planned_fallbacks(catalogue, policy))

    def plan(
        self,
        request: orchestrator_pb2.GenerateRequest,
        signals: types_pb2.Signals | None,
        tenant: str,
        remaining_ms: float,
    ) -> tuple[types_pb2.Plan, list[types_pb2.Degradation]]:
        """Return the plan, and in what it is already less than the policy wants.

        Args:
            request: the question; valid by its contract.
            signals: what the classifier found, or None if it was late or broken.
            tenant: who asks.
            remaining_ms: time to the deadline.

        Raises:
            TandemError: UnknownTier, UnknownVariant, TierNotEntitled, ModalityUnsupported, StrategyUnsupported, or
                DeadlineTooShort.
        """
        draft = _Draft(self._catalogue, self._policy, request, signals, tenant)
        plan = types_pb2.Plan(
            strategy=draft.strategy(),
            deadline_ms=remaining_ms,
            margin_ms=self._policy.deadline.margin_ms,
            policy_revision=self._policy.revision,
        )
        targets = draft.targets(plan.strategy)
        plan.reasons.extend(draft.reasons)
        usable = draft.usable()
        plan.fallbacks.extend(row for row in self._fallbacks if row.target.tier in usable)
        self._allow(plan, targets, draft.allowed)
        sampling = choose(request.sampling, signals, self._policy)
        purpose = types_pb2.ATTEMPT_PURPOSE_PRIMARY
        if plan.strategy == types_pb2.STRATEGY_ENSEMBLE:
            purpose = types_pb2.ATTEMPT_PURPOSE_VOTE
        allowance_ms = remaining_ms - plan.margin_ms - plan.reserve_ms
        for target in targets:
            plan.attempts.add(target=target, purpose=purpose, sampling=sampling, allowance_ms=allowance_ms)
        return plan, draft.degradations

    def _allow(
        self, plan: types_pb2.Plan, targets: Sequence[types_pb2.Target], allowed: Sequence[str]
    ) -> None:
        """Set the reserve; refuse a deadline in which nothing can answer."""
        usable_ms = plan.deadline_ms - plan.margin_ms
        variants = [v for name in allowed for v in self._catalogue.tier(name).variants.values()]
        needed_ms = min(_shortest_ms(variant) for variant in variants)
        if usable_ms < needed_ms:
            total_ms = needed_ms + plan.margin_ms
            raise DeadlineTooShort(
                f"the deadline leaves {plan.deadline_ms:.0f} ms, but the quickest answer needs {total_ms:.0f} ms; "
                f"grant at least {total_ms:.0f} ms",
                Details(metadata={"needed_ms": f"{total_ms:.0f}", "granted_ms": f"{plan.deadline_ms:.0f}"}),
            )
        if plan.strategy == types_pb2.STRATEGY_ENSEMBLE:
            plan.reserve_ms = min(FUSE_MS, usable_ms / 2)
            return
        reserves = [
            self._reserve_ms(fallback.target)
            for fallback in plan.fallbacks
            if fallback.from_tier == targets[0].tier
        ]
        first = self._catalogue.variant(targets[0].tier, targets[0].variant)
        # What would leave the first attempt no time for a token helps nobody.
        spare_ms = max(0.0, usable_ms - _shortest_ms(first))
        share_ms = usable_ms * self._policy.deadline.reserve_share
        plan.reserve_ms = min(max(reserves, default=0.0), share_ms, spare_ms)

    def _reserve_ms(self, target: types_pb2.Target) -> float:
        """Return the time in which a variant gives a short answer."""
        variant = self._catalogue.variant(target.tier, target.variant)
        return variant.latency.ttft_ms + self._policy.deadline.fallback_tokens * variant.latency.tpot_ms


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


def _shortest_ms(variant: Variant) -> float:
    return variant.latency.ttft_ms + variant.latency.tpot_ms


class _Draft:
    """The decisions of one plan, with the reasons they leave behind."""

    def __init__(
        self,
        catalogue: Catalogue,
        policy: Policy,
        request: orchestrator_pb2.GenerateRequest,
        signals: types_pb2.Signals | None,
        tenant: str,
    ) -> None:
        self._catalogue = catalogue
        self._policy = policy
        self._request = request
        self._signals = signals
        self._tenant = tenant
        self._needed = modalities(request.messages)
        self.allowed = policy.tiers_of(tenant)
        self.reasons: list[str] = []
        self.degradations: list[types_pb2.Degradation] = []

    def strategy(self) -> types_pb2.Strategy.ValueType:
        """Return the strategy; asking for a tier is asking for one tier."""
        asked = self._request.strategy
        if asked in (types_pb2.STRATEGY_CASCADE, types_pb2.STRATEGY_SHADOW):
            name = types_pb2.Strategy.Name(asked).removeprefix("STRATEGY_").lower()
            raise StrategyUnsupported(
                f"strategy {name} is not offered by this deployment; use route or ensemble"
            )
        if self._request.tier:
            return types_pb2.STRATEGY_ROUTE
        return asked or types_pb2.Strategy.Value(f"STRATEGY_{self._policy.strategy.upper()}")

    def targets(self, strategy: types_pb2.Strategy.ValueType) -> list[types_pb2.Target]:
        """Return the models that start without a failure."""
        if self._request.tier:
            return [self._asked_target()]
        if strategy == types_pb2.STRATEGY_ENSEMBLE:
            return self._voices()
        return [self._first_variant(self._readable(self._entitled(self._wanted_tier())))]

    def usable(self) -> set[str]:
        """Return the tiers that the tenant may use and that can read the request."""
        return {tier for tier in self.allowed if self._reads(tier)}

    def _asked_target(self) -> types_pb2.Target:
        tier, variant = self._request.tier, self._request.variant
        self._catalogue.variant(tier, variant)
        if tier not in self.allowed:
            raise TierNotEntitled(
                f"tenant {self._tenant} may not use tier {tier}; it may use {', '.join(self.allowed)}"
            )
        if not self._reads(tier):
            raise self._unreadable([tier])
        self.reasons.append(f"the client asked for tier {tier}")
        return self._target(f"{tier}/{variant}" if variant else tier)

    def _wanted_tier(self) -> str:
        routing = self._policy.routing
        if self._signals is None:
            self.reasons.append(f"no signals: the policy's default is {routing.undecided}")
            return routing.undecided
        probability = self._signals.r1_suffices.value
        suffices = probability >= routing.threshold - _FLOAT32
        comparison = "≥" if suffices else "<"
        self.reasons.append(
            f"{routing.cheap} suffices: {probability:.2f} {comparison} threshold {routing.threshold:.2f}"
        )
        self.reasons.extend(self._signals.reasons)
        return routing.cheap if suffices else routing.strong

    def _entitled(self, tier: str) -> str:
        if tier in self.allowed:
            return tier
        instead = self.allowed[0]
        detail = f"tenant {self._tenant} may not use tier {tier}; {instead} answers"
        self._degrade(types_pb2.DEGRADATION_REASON_NOT_ENTITLED, tier, instead, detail)
        return instead

    def _readable(self, tier: str) -> str:
        if self._reads(tier):
            return tier
        able = [name for name in self.allowed if self._reads(name)]
        if not able:
            raise self._unreadable(self.allowed)
        self.reasons.append(f"{tier} cannot read every part of the request")
        return able[0]

    def _voices(self) -> list[types_pb2.Target]:
        targets = [self._target(name) for name in self._policy.ensemble.targets]
        voices = [t for t in targets if t.tier in self.allowed and self._reads(t.tier)]
        if not voices:
            voices = [self._first_variant(self._readable(self.allowed[0]))]
        for target in targets:
            if target.tier not in self.allowed:
                detail = f"tenant {self._tenant} may not use tier {target.tier}; it does not vote"
                self._degrade(types_pb2.DEGRADATION_REASON_NOT_ENTITLED, target.tier, voices[0].tier, detail)
        self.reasons.append(f"an ensemble of {len(voices)}")
        return voices

    def _reads(self, tier: str) -> bool:
        return all(modality in self._catalogue.tier(tier).modalities for modality in self._needed)

    def _unreadable(self, tiers: Sequence[str]) -> ModalityUnsupported:
        readable = {
            name: ", ".join(name_of(m) for m in self._catalogue.tier(name).modalities) for name in tiers
        }
        needed = ", ".join(name_of(m) for m in self._needed)
        listed = "; ".join(f"{name} reads {words}" for name, words in readable.items())
        return ModalityUnsupported(
            f"no tier that may answer can read {needed}: {listed}; send only such parts"
        )

    def _target(self, name: str) -> types_pb2.Target:
        target = parse_target(name)
        return target if target.variant else self._first_variant(target.tier)

    def _first_variant(self, tier: str) -> types_pb2.Target:
        return types_pb2.Target(tier=tier, variant=self._catalogue.tier(tier).default_variant)

    def _degrade(
        self, reason: types_pb2.DegradationReason.ValueType, planned: str, instead: str, detail: str
    ) -> None:
        self.reasons.append(detail)
        self.degradations.append(
            types_pb2.Degradation(
                reason=reason,
                from_target=self._first_variant(planned),
                to_target=self._first_variant(instead),
                detail=detail,
            )
        )
