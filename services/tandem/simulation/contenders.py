"""Who answers the requests of a world: Tandem's own code, and gateways with fixed timeouts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from tandem.call import Call
from tandem.clock import now
from tandem.errors import BackendUnavailable, TandemError
from tandem.orchestrator.answer import Orchestrator, Services
from tandem.orchestrator.policy import Policy
from tandem.protocols import Inference
from tandem.simulation.outcomes import Reply
from tandem.simulation.traffic import Traffic
from tandem.simulation.world import World
from tandem.v1 import classifier_pb2, fusion_pb2, inference_pb2, orchestrator_pb2, types_pb2

MESSAGES = [types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text="So how does it go on?")])]


class Contender(Protocol):
    """Answers requests. A request's identifier is its number in the traffic."""

    async def answer(self, call: Call) -> Reply:
        """Answer one request.

        Raises:
            TandemError: there is no answer.
        """
        ...


class Contest(Protocol):
    """Makes a contender for a world that has not begun."""

    @property
    def name(self) -> str:
        """For tables."""
        ...

    def enter(self, world: World, tiers: Mapping[str, Inference]) -> Contender:
        """Return the contender."""
        ...


@dataclass(frozen=True, slots=True)
class Tandem:
    """The orchestrator as it is, with the signals given."""

    policy: Policy
    name: str = "tandem"

    def enter(self, world: World, tiers: Mapping[str, Inference]) -> Contender:
        """Return the contender."""
        services = Services(DrawnSignals(world.traffic), NoVote(), tiers)
        return Orchestrated(Orchestrator(services, world.catalogue, self.policy))


class Orchestrated:
    """Lets an orchestrator answer, without its cache."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self.orchestrator = orchestrator
        self._request = orchestrator_pb2.GenerateRequest(messages=MESSAGES, no_cache=True)

    async def answer(self, call: Call) -> Reply:
        """Answer one request."""
        answer = await self.orchestrator.generate(self._request, call)
        return reply(answer)


def reply(answer: types_pb2.Answer) -> Reply:
    """Return an answer of Tandem as far as it is counted."""
    planned = answer.plan.attempts[0].sampling.max_tokens
    full = answer.usage.output_tokens >= planned
    cut = answer.finish_reason == types_pb2.FINISH_REASON_LENGTH and not full
    return Reply(answer.answered_by.tier, bool(answer.degradations), cut)


class DrawnSignals:
    """A classifier that finds what was drawn; satisfies `tandem.protocols.Classifier`."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    async def classify(
        self, request: classifier_pb2.ClassifyRequest, call: Call
    ) -> classifier_pb2.ClassifyResponse:
        """Return the signals of a request."""
        number, traffic = int(call.request_id), self._traffic
        signals = types_pb2.Signals(
            r1_suffices=types_pb2.ScoreSignal(value=traffic.r1_suffices[number], confidence=1.0),
            expected_gain=types_pb2.ScoreSignal(value=traffic.expected_gain[number], confidence=1.0),
            context_tokens=traffic.prompt_tokens[number],
        )
        return classifier_pb2.ClassifyResponse(signals=signals)


class NoVote:
    """Stands for fusion where one tier answers; satisfies `tandem.protocols.Fusion`."""

    async def fuse(self, request: fusion_pb2.FuseRequest, call: Call) -> fusion_pb2.FuseResponse:
        """Refuse."""
        raise BackendUnavailable("nothing is fused in a simulation; use the strategy route")


@dataclass(frozen=True, slots=True)
class FixedTimeout:
    """The usual gateway: the routed tier gets a fixed time, and then the other one as much again.

    Its client still goes away at the deadline, and what was under way then stops.
    """

    policy: Policy
    seconds: float

    @property
    def name(self) -> str:
        """For tables."""
        return f"timeout {self.seconds:g} s"

    def enter(self, world: World, tiers: Mapping[str, Inference]) -> Contender:
        """Return the contender."""
        return Gateway(world.traffic, tiers, self.policy, self.allowance)

    def allowance(self, call: Call) -> float:
        """Return the seconds that each attempt has."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class HalfDeadline(FixedTimeout):
    """The same, with half of the time that the client grants for each attempt."""

    seconds: float = 0.0

    @property
    def name(self) -> str:
        """For tables."""
        return "deadline/2"

    def allowance(self, call: Call) -> float:
        """Return the seconds that each attempt has."""
        return (call.deadline - call.started) / 2.0


class Allowance(Protocol):
    """How long an attempt of a call may take, in seconds."""

    def __call__(self, call: Call, /) -> float:
        """Return the seconds."""
        ...


class Gateway:
    """Two attempts with fixed timeouts: no admission, no breaker, no reserve."""

    def __init__(
        self, traffic: Traffic, tiers: Mapping[str, Inference], policy: Policy, allowance: Allowance
    ) -> None:
        self._traffic = traffic
        self._tiers = tiers
        self._routing = policy.routing
        self._sampling = types_pb2.Sampling(max_tokens=policy.sampling.max_tokens)
        self._variants = {"r1": "fp16", "pro": "fp16"}
        self._allowance = allowance

    async def answer(self, call: Call) -> Reply:
        """Answer one request."""
        first, second = self._order(int(call.request_id))
        try:
            return await self._attempt(first, call, 0)
        except TandemError:
            return await self._attempt(second, call, 1)

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
            async for _ in pieces:
                pass
        return Reply(tier, degraded=attempt > 0)
