"""What every contender is, and Tandem itself: the orchestrator's own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.errors import BackendUnavailable
from tandem.ledger.entry import Entry
from tandem.orchestrator.answer import Keeping, Orchestrator
from tandem.orchestrator.bookkeeping import Bookkeeper
from tandem.orchestrator.budgets import Budgets
from tandem.orchestrator.policy import Policy
from tandem.orchestrator.work import Services
from tandem.protocols import Inference
from tandem.simulation.outcomes import Reply
from tandem.simulation.traffic import Traffic
from tandem.simulation.world import World
from tandem.v1 import classifier_pb2, fusion_pb2, orchestrator_pb2, types_pb2

MESSAGES: Final = [
    types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text="So how does it go on?")])
]


class Questioned(Protocol):
    """Where requests are answered, as far as the orchestrator's side knows it."""

    @property
    def catalogue(self) -> Catalogue:
        """The tiers."""
        ...

    @property
    def traffic(self) -> Traffic:
        """What is asked."""
        ...


class Contender(Protocol):
    """Answers requests. A request's identifier is its number in the traffic."""

    async def answer(self, call: Call) -> Reply:
        """Answer one request.

        Raises:
            TandemError: there is no answer.
        """
        ...

    async def tokens_booked(self) -> int:
        """Return the tokens that it knows its attempts to have made, now that all requests have ended."""
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
        return Orchestrated(world, tiers, self.policy)


class Orchestrated:
    """Lets an orchestrator answer, without its cache.

    Args:
        world: where.
        tiers: what it calls.
        policy: what it decides by.
    """

    def __init__(self, world: Questioned, tiers: Mapping[str, Inference], policy: Policy) -> None:
        self.books = Books()
        """Its ledger."""
        budgets = Budgets(policy.budgets, {}, proven=True)
        self._bookkeeper = Bookkeeper(tiers, self.books, budgets)
        services = Services(DrawnSignals(world.traffic), NoVote(), tiers)
        keeping = Keeping(budgets, self._bookkeeper)
        self.orchestrator = Orchestrator(services, world.catalogue, policy, keeping)
        self._request = orchestrator_pb2.GenerateRequest(messages=MESSAGES, no_cache=True)

    async def answer(self, call: Call) -> Reply:
        """Answer one request."""
        return reply(await self.orchestrator.generate(self._request, call))

    async def tokens_booked(self) -> int:
        """Close the books and return the tokens in them."""
        await self._bookkeeper.drain()
        return self.books.tokens


class Books:
    """A ledger that keeps the sum; satisfies `tandem.ledger.entry.Ledger`."""

    def __init__(self) -> None:
        self.requests = 0
        """Entries so far: one for each request."""
        self.tokens = 0
        """Tokens made by all attempts of them."""

    def write(self, entry: Entry) -> None:
        """Add an entry."""
        self.requests += 1
        self.tokens += sum(attempt.usage.output_tokens for attempt in entry.answer.attempts)

    async def close(self) -> None:
        """Do nothing: all is written."""


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
