"""A deployment at work: several orchestrators, each with its own round-robin over all replicas of a tier."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Final

from tandem.call import Call
from tandem.simulation.chance import generator
from tandem.simulation.contenders import Orchestrated
from tandem.simulation.deployment import Deployment
from tandem.simulation.fates import NO_MISHAPS, WIDE, Fates, Mishaps, Spread
from tandem.simulation.machine import FULL
from tandem.simulation.outcomes import Reply
from tandem.simulation.tiers import Luck, Piece, SimulatedTier
from tandem.simulation.traffic import Traffic
from tandem.v1 import inference_pb2


@dataclass(frozen=True, slots=True)
class Engines:
    """How engines behave, beside what the catalogue says."""

    full: float = FULL
    """Time per token when all places are taken, as a multiple of that of an attempt alone."""
    spread: Spread = WIDE
    mishaps: Mishaps = field(default=NO_MISHAPS)


USUAL_ENGINES: Final = Engines()


class RoundRobin:
    """Replicas of a tier as one orchestrator calls them, in turn; satisfies `tandem.protocols.Inference`.

    Args:
        replicas: one or more.
        first: who gets the first attempt.
    """

    def __init__(self, replicas: Sequence[SimulatedTier], first: int) -> None:
        self._replicas = replicas
        self._turns = islice(cycle(replicas), first % len(replicas), None)
        self._where: dict[tuple[str, int], SimulatedTier] = {}

    async def infer(self, request: inference_pb2.InferRequest, call: Call) -> inference_pb2.InferResponse:
        """Answer in one message."""
        return await self._next(call, request.attempt).infer(request, call)

    def stream_infer(
        self, request: inference_pb2.InferRequest, call: Call, *, buffered: bool = False
    ) -> AsyncGenerator[Piece, None]:
        """Answer piece by piece."""
        return self._next(call, request.attempt).stream_infer(request, call, buffered=buffered)

    async def settle_usage(
        self, request: inference_pb2.SettleUsageRequest, call: Call
    ) -> inference_pb2.SettleUsageResponse:
        """Let the replica that had the attempt tell what it took."""
        replica = self._where.get((call.request_id, request.attempt), self._replicas[0])
        return await replica.settle_usage(request, call)

    async def get_capabilities(self, call: Call) -> inference_pb2.GetCapabilitiesResponse:
        """Let any of them tell the variants: all have the same."""
        return await self._replicas[0].get_capabilities(call)

    def _next(self, call: Call, attempt: int) -> SimulatedTier:
        replica = next(self._turns)
        self._where[call.request_id, attempt] = replica
        return replica


class Site:
    """A deployment that is asked something.

    Args:
        deployment: all of it, or a cell.
        traffic: what it is asked.
        engines: how they behave.
        seed: of what befalls requests.
    """

    def __init__(self, deployment: Deployment, traffic: Traffic, engines: Engines, seed: int) -> None:
        self.deployment = deployment
        self.catalogue = deployment.catalogue
        self.traffic = traffic
        self.asked = generator(seed, "asked").integers(0, deployment.orchestrators, len(traffic))
        """The number of the orchestrator that each request comes to."""
        self._engines = engines
        self._luck = {
            name: Luck(
                {
                    variant: Fates(
                        len(traffic), engines.mishaps, generator(seed, f"{name}/{variant}"), engines.spread
                    )
                    for variant in tier.variants
                }
            )
            for name, tier in self.catalogue.tiers.items()
        }

    def replicas(self) -> dict[str, list[SimulatedTier]]:
        """Return the replicas of every tier as they are before the first request."""
        return {
            name: [
                SimulatedTier(name, tier, self.traffic, self._luck[name], self._engines.full)
                for _ in range(self.deployment.replicas[name])
            ]
            for name, tier in self.catalogue.tiers.items()
        }


class Fleet:
    """The orchestrators of a site; satisfies `tandem.simulation.contenders.Contender`.

    Which one a request comes to is chance: many clients take turns, each by itself.
    """

    def __init__(self, site: Site) -> None:
        replicas = site.replicas()
        self._orchestrators = [
            Orchestrated(
                site,
                {name: RoundRobin(each, first=number) for name, each in replicas.items()},
                site.deployment.policy,
            )
            for number in range(site.deployment.orchestrators)
        ]
        for each in self._orchestrators:
            for tier, count in site.deployment.replicas.items():
                counted = inference_pb2.GetCapabilitiesResponse(
                    tier=tier, instances=count, sharers=site.deployment.orchestrators
                )
                each.orchestrator.note_capabilities(tier, counted)
        self._asked: list[int] = site.asked.tolist()

    async def answer(self, call: Call) -> Reply:
        """Let the orchestrator answer that the request comes to."""
        return await self._orchestrators[self._asked[int(call.request_id)]].answer(call)

    async def tokens_booked(self) -> int:
        """Close all books and return the tokens in them."""
        return sum([await each.tokens_booked() for each in self._orchestrators])
