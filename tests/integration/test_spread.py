"""Would catch: Tritons of a tier that stay empty behind few orchestrators, and many orchestrators that overload few.

Two orchestrators and two inference services of each tier, processes all, and two Tritons for Pro, of which the
catalogue says that each bears 8 attempts at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tandem.client import Client
from tandem.embedded.triton import TritonProcess
from tandem.v1 import types_pb2
from tests.engine_books import EngineBooks
from tests.fleet import Fleet, fleet
from tests.integration.asking import PRO, default_text, sim
from tests.system import simulated_triton

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

TOKENS: Final = 40
SLOW: Final = sim(tokens=TOKENS, tpot_ms=100)
SEEN_SECONDS: Final = 45.0


@dataclass(slots=True)
class Site:
    """A fleet, a client of each of its orchestrators, and the Tritons of Pro."""

    fleet: Fleet
    tritons: list[tuple[TritonProcess, AsyncExitStack]]
    clients: list[Client]

    async def states(self) -> list[types_pb2.ModelState]:
        """Return what each orchestrator knows of Pro now."""
        told = await asyncio.gather(*(each.explain("and now?", deadline_seconds=20) for each in self.clients))
        return [state for each in told for state in each.models if state.target == PRO]

    async def until_limits(self, *expected: int) -> None:
        """Wait until the orchestrators let in so many."""
        async with asyncio.timeout(SEEN_SECONDS):
            while [state.limit for state in await self.states()] != list(expected):
                await asyncio.sleep(0.1)

    async def crowd(self, many: int) -> tuple[list[types_pb2.Answer], list[int]]:
        """Ask so many questions at once, of all orchestrators alike; return the answers, and how many ran at a time."""
        asked = [
            asyncio.create_task(
                self.clients[number % len(self.clients)].ask(
                    SLOW, tier="pro", no_cache=True, deadline_seconds=30
                )
            )
            for number in range(many)
        ]
        seen = []
        while not all(task.done() for task in asked):
            seen.append(sum(state.in_flight for state in await self.states()))
            await asyncio.sleep(0.05)
        return await asyncio.gather(*asked), seen


@asynccontextmanager
async def site(triton: TritonProcess, folder: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        tritons = []
        for _ in range(2):
            own = await stack.enter_async_context(AsyncExitStack())
            tritons.append((await own.enter_async_context(simulated_triton(["pro"])), own))
        target = "ipv4:" + ",".join(each.grpc_address for each, _ in tritons)
        running = await stack.enter_async_context(fleet({"r1": triton.grpc_address, "pro": target}, folder))
        clients = [
            await stack.enter_async_context(Client(f"127.0.0.1:{each.port}"))
            for each in running.replicas["orchestrator"]
        ]
        yield Site(running, tritons, clients)


async def test_orchestrators_share_what_all_tritons_bear(triton: TritonProcess, tmp_path: Path) -> None:
    async with site(triton, tmp_path) as running:
        # Half of 16 for each, and the root of that.
        await running.until_limits(8 + 2, 8 + 2)
        answers, seen = await running.crowd(30)
        assert max(seen) == 20, "more than one Triton bears, and hardly more than both"
        assert {answer.text for answer in answers} == {default_text(TOKENS)}
        assert not any(answer.degradations for answer in answers)
        made = [await EngineBooks(each.metrics_url).settled() for each, _ in running.tritons]
        assert sum(each["pro"] for each in made) == 30 * TOKENS
        # Two inference services take turns, each by itself: half for each, or nearly so.
        assert min(each["pro"] for each in made) >= 10 * TOKENS

        # One orchestrator is left: all of both is its, and no more.
        await running.fleet.kill_one("orchestrator")
        await running.clients.pop().close()
        await running.until_limits(16)
        answers, seen = await running.crowd(30)
        assert max(seen) == 16
        assert not any(answer.degradations for answer in answers)

        # One Triton is left, too.
        await running.tritons[0][1].aclose()
        await running.until_limits(8)
        answers, seen = await running.crowd(16)
        assert max(seen) == 8
        assert {answer.text for answer in answers} == {default_text(TOKENS)}
