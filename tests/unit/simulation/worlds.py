"""Small worlds, and a witness who notes what becomes of every request in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from tandem.call import Call
from tandem.catalogue import load_catalogue
from tandem.clock import now
from tandem.deployment import deploy_folder
from tandem.errors import TandemError
from tandem.ledger.entry import Entry
from tandem.orchestrator.policy import load_policy
from tandem.orchestrator.work import Services
from tandem.simulation import virtual_time
from tandem.simulation.contenders import MESSAGES, DrawnSignals, NoVote
from tandem.simulation.episodes import Trouble
from tandem.simulation.fates import Mishaps
from tandem.simulation.outcomes import Reply, Tally
from tandem.simulation.run import ask_all
from tandem.simulation.tiers import SimulatedTier
from tandem.simulation.traffic import Kind
from tandem.simulation.world import Scenario, TierTrouble, World, on_accelerators
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.orchestrators import FakeLedger, orchestrator

CATALOGUE: Final = on_accelerators(load_catalogue(deploy_folder() / "catalogue.yaml"))
POLICY: Final = load_policy(deploy_folder() / "policy.yaml", CATALOGUE)
SETTLED_SECONDS: Final = 60.0
Event = orchestrator_pb2.StreamGenerateResponse

troubles = st.builds(Trouble, share=st.sampled_from([0.0, 0.0, 0.1, 0.5]), mean_seconds=st.floats(0.5, 20.0))
tier_troubles = st.builds(TierTrouble, outages=troubles, hangs=troubles, shortages=troubles, slow=troubles)


@st.composite
def kinds(draw: st.DrawFn) -> list[Kind]:
    """Draw who asks: deadlines from hopeless to ample."""
    drawn = draw(st.lists(st.tuples(st.floats(0.01, 10.0), st.floats(1.0, 600.0)), min_size=1, max_size=3))
    return [Kind(1.0 / len(drawn), deadline, tokens) for deadline, tokens in drawn]


@st.composite
def worlds(draw: st.DrawFn, most: int = 40) -> World:
    """Draw a world of a few requests in which much goes wrong."""
    scenario = Scenario(
        "drawn",
        load=draw(st.floats(0.2, 20.0)),
        kinds=draw(kinds()),
        bursts=draw(troubles),
        trouble={"r1": draw(tier_troubles), "pro": draw(tier_troubles)},
        mishaps=Mishaps(stalls=draw(st.floats(0.0, 0.5)), breaks=draw(st.floats(0.0, 0.5))),
    )
    return World(CATALOGUE, scenario, draw(st.integers(1, most)), draw(st.integers(0, 2**32)))


@dataclass(slots=True)
class Ending:
    """How one request ended."""

    call: Call
    events: list[Event]
    answer: types_pb2.Answer | None
    error: TandemError | None
    ended: float


class Witness:
    """A contender that asks Tandem, streamed and not in turns, and notes everything."""

    def __init__(self, world: World, tiers: Mapping[str, SimulatedTier]) -> None:
        self.tiers = tiers
        self.endings: list[Ending] = []
        self.ledger = FakeLedger()
        services = Services(DrawnSignals(world.traffic), NoVote(), tiers)
        self.orchestrator = orchestrator(services, CATALOGUE, POLICY, self.ledger)
        self._request = orchestrator_pb2.GenerateRequest(messages=MESSAGES, no_cache=True)

    async def answer(self, call: Call) -> Reply:
        """Ask, and note how it ended."""
        ending = Ending(call, [], None, None, 0.0)
        async with self._noted(ending):
            if int(call.request_id) % 2:
                ending.answer = await self.orchestrator.generate(self._request, call)
            else:
                async for event in self.orchestrator.stream_generate(self._request, call):
                    ending.events.append(event)
                assert ending.events[-1].HasField("finished")
                ending.answer = ending.events[-1].finished.answer
        return Reply("r1")

    async def tokens_booked(self) -> int:
        """Return the tokens in the ledger."""
        return sum(made(entry) for entry in self.ledger.entries)

    @asynccontextmanager
    async def _noted(self, ending: Ending) -> AsyncIterator[None]:
        try:
            yield
        except TandemError as error:
            ending.error = error
            raise
        finally:
            ending.ended = now()
            self.endings.append(ending)


def made(entry: Entry) -> int:
    """Return the tokens of all attempts of an entry."""
    return sum(attempt.usage.output_tokens for attempt in entry.answer.attempts)


def witnessed(world: World) -> Witness:
    """Run a world to its end."""

    async def run() -> Witness:
        witness = Witness(world, world.tiers())
        await ask_all(world, witness, Tally("pro"))
        await asyncio.sleep(SETTLED_SECONDS)
        return witness

    return virtual_time.run(run())
