"""What is known of every model now: how fast it is, how much it bears, whether it is well. All of it can be rebuilt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tandem.catalogue import Catalogue, Variant
from tandem.clock import now
from tandem.orchestrator.admission import Admission
from tandem.orchestrator.breaker import CLOSED, Breaker
from tandem.orchestrator.latency import LatencyModel
from tandem.orchestrator.limit import ConcurrencyLimit, part_of_one
from tandem.orchestrator.policy import Policy
from tandem.v1 import types_pb2

EXPECTED_TOKENS: Final = 128
"""Length of an answer from which it follows how long a place is held, as long as nothing is known."""
MOST_DOUBLINGS: Final = 2
"""Of the patience with a model that hangs: it is waited for at most four times as long."""
SERVER_CAUSES: Final = (types_pb2.ATTEMPT_OUTCOME_TIMEOUT, types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE)
"""Failures that a server has rather than a model."""
P95: Final = 0.95
P99: Final = 0.99


class LiveModel:
    """One variant: its speed, its places, its breaker."""

    def __init__(self, target: types_pb2.Target, variant: Variant, policy: Policy) -> None:
        self.target = target
        self.model = variant.model
        """Name of the Triton model that it is."""
        self._prior = variant.latency
        self._load_ms = variant.load_ms if variant.on_demand else 0.0
        self.latency = LatencyModel(variant.latency)
        self._awake_since = float("-inf")
        self.note_sleep(asleep=variant.on_demand)
        self._concurrency = variant.concurrency
        self.instances = 1
        """How many Tritons have the model, as far as is known."""
        self.sharers = 1
        """How many orchestrators let attempts onto them, this one included."""
        self._window_seconds = policy.overload.window_ms / 1000.0
        self.limit = ConcurrencyLimit(variant.concurrency, self._window_seconds)
        self.breaker = Breaker(policy.breaker)
        self.admission = Admission(
            f"{target.tier}/{target.variant}",
            self.limit,
            variant.latency.ttft_ms + EXPECTED_TOKENS * variant.latency.tpot_ms,
            policy.overload.starvation_ms,
            policy.overload.most_waiting,
        )
        self._hang = policy.hang
        self._doublings = 0
        self._hung_at = float("-inf")

    def adopt(self, variant: Variant, policy: Policy) -> None:
        """Go on with the numbers of another catalogue and another policy; what attempts have shown is kept."""
        if variant.latency != self._prior and not self.latency.observations:
            self.latency = LatencyModel(variant.latency)
        self._prior, self._hang = variant.latency, policy.hang
        self._load_ms = variant.load_ms if variant.on_demand else 0.0
        self.note_sleep(asleep=self.asleep and variant.on_demand)
        self.breaker.adopt(policy.breaker)
        self._concurrency = variant.concurrency
        self._window_seconds = policy.overload.window_ms / 1000.0
        self._resize()
        self.admission.adopt(policy.overload.starvation_ms, policy.overload.most_waiting)

    def spread(self, instances: int, sharers: int) -> None:
        """Note how many instances of the model there are, and how many orchestrators share them.

        0: nobody knows, and what was known stays.
        """
        found = (instances or self.instances, sharers or self.sharers)
        if found != (self.instances, self.sharers):
            self.instances, self.sharers = found
            self._resize()
            self.admission.serve()

    def _resize(self) -> None:
        """Let as many attempts under way as are this orchestrator's part of what all instances bear."""
        most = part_of_one(self._concurrency, self.instances, self.sharers)
        self.limit.adopt(most, self._window_seconds, step=max(1, most // self._concurrency))

    @property
    def asleep(self) -> bool:
        """Whether it is not loaded, and the next attempt has to wait until it is."""
        return self.latency.waking_ms > 0.0

    def note_sleep(self, *, asleep: bool) -> None:
        """Note whether it has to be loaded first."""
        if self.asleep and not asleep:
            self._awake_since = now()
        self.latency.waking_ms = self._load_ms if asleep else 0.0

    def patience_ms(self, prompt_tokens: int) -> float:
        """Return how long a first token is waited for before the attempt counts as hung.

        It doubles with every attempt that hung, until one gives a token: the model may just have become slow.
        """
        usual = self.latency.ttft_ms(P99, prompt_tokens)
        patience = max(self._hang.first_token_ms, self._hang.first_token_factor * usual)
        return float(patience * 2**self._doublings)

    def hung(self, began: float) -> None:
        """Note that an attempt that began then gave no token for too long. Those at the same time count once."""
        if began >= self._hung_at:
            self._doublings = min(MOST_DOUBLINGS, self._doublings + 1)
            self._hung_at = now()

    def gave_token(self, prompt_tokens: int, waited_ms: float, began: float) -> None:
        """Note how long an attempt that began then took to its first token."""
        self._doublings = 0
        self.note_sleep(asleep=False)
        # One that waited until the model was loaded says nothing about its speed.
        if began >= self._awake_since:
            self.latency.saw_first_token(prompt_tokens, waited_ms)

    def gap_ms(self) -> float:
        """Return how long the next token is waited for before the attempt counts as hung."""
        return max(self._hang.gap_ms, self._hang.gap_factor * self.latency.tpot_ms(P99))

    def state(self, prompt_tokens: int, deadline: float) -> types_pb2.ModelState:
        """Return what is known, in the words of the contract."""
        return types_pb2.ModelState(
            target=self.target,
            ttft_p95_ms=self.latency.ttft_ms(P95, prompt_tokens),
            tpot_p95_ms=self.latency.tpot_ms(P95),
            observations=self.latency.observations,
            limit=self.limit.value,
            in_flight=self.admission.in_flight,
            queued=self.admission.waiting,
            queue_ms=self.admission.wait_ms(deadline),
            breaker=self.breaker.state,
            asleep=self.asleep,
        )


class LiveModels:
    """All variants of a catalogue.

    Args:
        catalogue: the variants.
        policy: what counts as sick, hung or too much.
        before: those of the catalogue before. A variant that is still the same Triton model goes on as it is.
    """

    def __init__(self, catalogue: Catalogue, policy: Policy, before: LiveModels | None = None) -> None:
        self._models: dict[tuple[str, str], LiveModel] = {
            (tier, variant): _model(types_pb2.Target(tier=tier, variant=variant), found, policy, before)
            for tier, entry in catalogue.tiers.items()
            for variant, found in entry.variants.items()
        }
        self._of_tier = {
            tier: tuple(model for (owner, _), model in self._models.items() if owner == tier)
            for tier in catalogue.tiers
        }

    def __iter__(self) -> Iterator[LiveModel]:
        return iter(self._models.values())

    def is_suspect(self, target: types_pb2.Target) -> bool:
        """Whether another variant of the same tier hangs or is away: they share a server, which may be what is sick."""
        return any(
            model.breaker.state != CLOSED and model.breaker.cause in SERVER_CAUSES
            for model in self.of_tier(target.tier)
            if model.target != target
        )

    def spread(self, tier: str, instances: int, sharers: int) -> None:
        """Note how many instances a tier has, and how many orchestrators share them; 0: nobody knows."""
        for model in self.of_tier(tier):
            model.spread(instances, sharers)

    def of_tier(self, tier: str) -> Sequence[LiveModel]:
        """Return the variants of a tier, in the catalogue's order: the first is the default one."""
        return self._of_tier[tier]

    def find(self, target: types_pb2.Target) -> LiveModel | None:
        """Return the model that a complete target names; None: there is none."""
        return self._models.get((target.tier, target.variant))

    def of(self, target: types_pb2.Target) -> LiveModel:
        """Return the model that a complete target names."""
        return self._models[target.tier, target.variant]


def _model(
    target: types_pb2.Target, variant: Variant, policy: Policy, before: LiveModels | None
) -> LiveModel:
    """Return what is known of a variant: all that was if it is still the same Triton model, else nothing."""
    found = before.find(target) if before else None
    if found is None or found.model != variant.model:
        return LiveModel(target, variant, policy)
    found.adopt(variant, policy)
    return found
