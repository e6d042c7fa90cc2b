"""The strategies that a request could get, each with what it would be worth by prices, latencies and signals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tandem.orchestrator import worth
from tandem.orchestrator.live import P95
from tandem.orchestrator.policy import parse_target
from tandem.orchestrator.routing import Known
from tandem.orchestrator.worth import Prospect
from tandem.v1 import orchestrator_pb2, types_pb2

Option = orchestrator_pb2.StrategyOption
Targets = Sequence[types_pb2.Target]
Offer = tuple[types_pb2.Strategy.ValueType, Targets, Prospect]


@dataclass(frozen=True, slots=True)
class Case:
    """What a request brings."""

    signals: types_pb2.Signals
    usable: set[str]
    """Tiers that the tenant may use and that can read it."""
    tokens: int
    """Expected length of the answer."""
    deadline: float
    """On the clock of `tandem.clock`."""
    usable_ms: float
    """Time there is for the whole answer."""


def options(known: Known, case: Case) -> list[Option]:
    """Return what can be chosen among, the cheap ones first; nothing unless both tiers can answer.

    A model that is kept from getting requests is in no option.
    """
    policy = known.policy
    if not {policy.routing.cheap, policy.routing.strong} <= case.usable:
        return []
    offers = list(_Market(known, case).offers())
    if not offers:
        return []
    prospects = [prospect for _, _, prospect in offers]
    right, second = policy.value.nano_usd(case.signals), policy.value.usd_per_second * 1e9
    nets = [worth.net_nano_usd(prospect, right, second) for prospect in prospects]
    chosen = worth.best(prospects, nets, case.usable_ms)
    return [
        Option(
            strategy=strategy,
            targets=targets,
            expected_correctness=prospect.right,
            cost_nano_usd=round(prospect.nano_usd),
            duration_ms=prospect.usual_ms,
            longest_ms=prospect.longest_ms,
            fits=prospect.longest_ms <= case.usable_ms,
            value_nano_usd=round(net),
            best=index == chosen,
        )
        for index, ((strategy, targets, prospect), net) in enumerate(zip(offers, nets, strict=True))
    ]


class _Market:
    """What the models would do for one request, and for how much."""

    def __init__(self, known: Known, case: Case) -> None:
        self._known, self._case = known, case

    def offers(self) -> Iterator[Offer]:
        """Yield every strategy whose models get requests."""
        policy = self._known.policy
        cheap, strong = self._first(policy.routing.cheap), self._first(policy.routing.strong)
        for target in (cheap, strong):
            if self._well(target):
                yield types_pb2.STRATEGY_ROUTE, [target], self._prospect(target)
        if self._well(cheap) and self._well(strong):
            longer = self._case.tokens if policy.cascade.refine else 0
            second = self._prospect(strong, longer)
            together = worth.cascade(self._prospect(cheap), second, policy.cascade.samples, policy.value)
            yield types_pb2.STRATEGY_CASCADE, [cheap, strong], together
        named = [self._complete(parse_target(name)) for name in policy.ensemble.targets]
        voices = [target for target in named if target.tier in self._case.usable and self._well(target)]
        if len(voices) > 1:
            heard = [self._prospect(target) for target in voices]
            fused = worth.ensemble(heard, policy.ensemble.fuse_ms, policy.value)
            yield types_pb2.STRATEGY_ENSEMBLE, voices, fused

    def _prospect(self, target: types_pb2.Target, longer: int = 0) -> Prospect:
        """Return what is expected of a model; its prompt is longer by so many tokens."""
        case, model = self._case, self._known.live.of(target)
        given = case.signals.context_tokens + longer
        waiting_ms = model.admission.wait_ms(case.deadline)
        price = self._known.catalogue.tier(target.tier).price
        return Prospect(
            self._right(target.tier),
            price.cost_nano_usd(given, case.tokens),
            waiting_ms + model.latency.short_ms(0.5, given, case.tokens),
            waiting_ms + model.latency.short_ms(P95, given, case.tokens),
        )

    def _right(self, tier: str) -> float:
        """Return the probability of a right answer; a tier that is not the strong one counts as the cheap one."""
        signals = self._case.signals
        gain = signals.expected_gain.value if tier == self._known.policy.routing.strong else 0.0
        return min(1.0, max(0.0, signals.r1_suffices.value + gain))

    def _first(self, tier: str) -> types_pb2.Target:
        return self._complete(types_pb2.Target(tier=tier))

    def _complete(self, target: types_pb2.Target) -> types_pb2.Target:
        if not target.variant:
            target.variant = self._known.catalogue.tier(target.tier).default_variant
        return target

    def _well(self, target: types_pb2.Target) -> bool:
        return self._known.live.of(target).breaker.admits
