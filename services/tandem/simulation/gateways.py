"""The usual gateways: fixed timeouts for each attempt, then the other tier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from tandem.call import Call
from tandem.clock import now
from tandem.errors import TandemError
from tandem.orchestrator.policy import Policy
from tandem.protocols import Inference
from tandem.simulation.contenders import MESSAGES, Contender
from tandem.simulation.outcomes import Reply
from tandem.simulation.world import World
from tandem.v1 import inference_pb2, types_pb2

Allowance = Callable[[Call], float]
"""How long an attempt of a call may take, in seconds."""


@dataclass(frozen=True, slots=True)
class FixedTimeout:
    """The routed tier gets a fixed time, and then the other one as much again.

    The client goes away at its deadline, and what was under way for it then stops: many gateways are less careful.
    """

    policy: Policy
    seconds: float

    @property
    def name(self) -> str:
        """For tables."""
        return f"timeout {self.seconds:g} s"

    def enter(self, world: World, tiers: Mapping[str, Inference]) -> Contender:
        """Return the contender."""
        return Gateway(world, tiers, self.policy, lambda _: self.seconds)


@dataclass(frozen=True, slots=True)
class HalfDeadline:
    """The same, but each attempt gets half of the time that the client grants."""

    policy: Policy
    name: str = "deadline/2"

    def enter(self, world: World, tiers: Mapping[str, Inference]) -> Contender:
        """Return the contender."""
        return Gateway(world, tiers, self.policy, lambda call: (call.deadline - call.started) / 2.0)


class Gateway:
    """Two attempts: no admission, no breaker, no reserve, no variants.

    Args:
        world: where.
        tiers: what it calls.
        policy: by which signals are routed, and how long answers may be.
        allowance: how long an attempt may take.
    """

    def __init__(
        self, world: World, tiers: Mapping[str, Inference], policy: Policy, allowance: Allowance
    ) -> None:
        self._traffic = world.traffic
        self._tiers = tiers
        self._variants = {name: tier.default_variant for name, tier in world.catalogue.tiers.items()}
        self._routing = policy.routing
        self._sampling = types_pb2.Sampling(max_tokens=policy.sampling.max_tokens)
        self._allowance = allowance
        self._booked = 0

    async def answer(self, call: Call) -> Reply:
        """Answer one request."""
        first, second = self._order(int(call.request_id))
        try:
            return await self._attempt(first, call, 0)
        except TandemError:
            if call.remaining() <= 0.0:
                raise
            return await self._attempt(second, call, 1)

    async def tokens_booked(self) -> int:
        """Return the tokens that arrived: nobody asks for the others."""
        return self._booked

    def _order(self, number: int) -> tuple[str, str]:
        cheap, strong = self._routing.cheap, self._routing.strong
        suffices = self._traffic.r1_suffices[number] >= self._routing.threshold
        return (cheap, strong) if suffices else (strong, cheap)

    async def _attempt(self, tier: str, call: Call, attempt: int) -> Reply:
        request = inference_pb2.InferRequest(
            variant=self._variants[tier], messages=MESSAGES, sampling=self._sampling, attempt=attempt
        )
        until = call.until(now() + self._allowance(call))
        async with aclosing(self._tiers[tier].stream_infer(request, until)) as pieces:
            async for piece in pieces:
                self._booked += piece.output_tokens
        return Reply(tier, degraded=attempt > 0)
