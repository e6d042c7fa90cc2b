"""Every load that Tandem is measured under, and how one system is taken through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import grpc.aio

from closed_loop import Load, run_block
from direct_triton import DirectTriton
from pairs import Pairs
from process_tree import ProcessTree
from question import Ask, Question
from system_process import Running
from tandem.catalogue import Catalogue
from tandem.serving.clients import open_channel
from through_tandem import ThroughTandem

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of load; `block_seconds` is how long one side runs before the other has its turn."""

    question: Question
    at_once: int
    block_seconds: float
    ramp_seconds: float = 0.1


_UNARY = Question(stream=False, tokens=1)
_STREAM = Question(stream=True, tokens=64)
_PACED = Question(stream=True, tokens=45, tpot_ms=1000 / 30)

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "unary 1": Scenario(_UNARY, 1, 0.25, 0.0),
    "unary 8": Scenario(_UNARY, 8, 1.0),
    "unary 32": Scenario(_UNARY, 32, 1.0),
    "stream 1": Scenario(_STREAM, 1, 0.5, 0.0),
    "stream 8": Scenario(_STREAM, 8, 1.0),
    "stream 32": Scenario(_STREAM, 32, 1.5),
    "paced 32": Scenario(_PACED, 32, 3.0, 1.0),
}
"""`unary`: answers of one token. `stream`: of 64, as fast as they come. `paced`: of 45, at 30 tokens a second."""

WARM_UP: Final = Load(at_once=32, seconds=1.0, ramp_seconds=0.1)


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """What was measured of one system."""

    pairs: Mapping[str, Pairs]
    rss_mb: float


class Bench:
    """One system beside the Triton that it runs on."""

    def __init__(self, system: Running, triton: str, catalogue: Catalogue) -> None:
        self._tree = ProcessTree(system.pid)
        self._channels = [open_channel(system.address), grpc.aio.insecure_channel(triton)]
        self._through = ThroughTandem(self._channels[0])
        self._direct = DirectTriton(self._channels[1], catalogue)

    async def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            await channel.close()

    async def measure(self, seconds: float, say: Say) -> SystemFigures:
        """Run every scenario for about so many seconds."""
        for scenario in (SCENARIOS["unary 32"], SCENARIOS["stream 32"]):
            for ask in await self._sides(scenario.question):
                await run_block(ask, WARM_UP, self._tree.cpu_seconds)
        pairs = {}
        for name, scenario in SCENARIOS.items():
            say(f"  {name} at a time")
            pairs[name] = await self._compare(scenario, seconds)
        return SystemFigures(pairs, self._tree.rss_mb())

    async def run_through(self, scenario: Scenario, seconds: float) -> None:
        """Run one scenario through Tandem only."""
        load = Load(scenario.at_once, seconds, scenario.ramp_seconds)
        await run_block(self._through.asker(scenario.question), load, self._tree.cpu_seconds)

    async def _sides(self, question: Question) -> tuple[Ask, Ask]:
        plan = await self._through.plan(question)
        return self._direct.asker(question, plan), self._through.asker(question)

    async def _compare(self, scenario: Scenario, seconds: float) -> Pairs:
        direct, through = await self._sides(scenario.question)
        load = Load(scenario.at_once, scenario.block_seconds, scenario.ramp_seconds)
        pairs = Pairs()
        sides = [(direct, pairs.direct), (through, pairs.through)]
        for _ in range(max(1, round(seconds / (2 * scenario.block_seconds)))):
            for ask, blocks in sides:
                blocks.append(await run_block(ask, load, self._tree.cpu_seconds))
            # Whoever came second comes first next time, so that neither has the better place.
            sides.reverse()
        return pairs
