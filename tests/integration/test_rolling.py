"""Would catch a rolling update that fails, degrades or loses a request, and a killed replica that takes others along.

Every service has two replicas, each a process; clients and services find them by a list of addresses, without DNS.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select

from tandem.client import Client
from tandem.embedded.triton import TritonProcess
from tandem.errors import BackendUnavailable, Draining, TandemError
from tandem.ledger.schema import reading
from tandem.ledger.tables import requests
from tandem.v1 import types_pb2
from tests.fleet import COMPONENTS, Fleet, fleet
from tests.integration.asking import default_text, sim

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]

TOKENS = 30
SAID = sim(tokens=TOKENS, tpot_ms=15)
WORKERS = 3
VOTES = types_pb2.STRATEGY_ENSEMBLE


@dataclass(slots=True)
class Load:
    """What came of requests that are asked without a pause."""

    answers: list[types_pb2.Answer] = field(default_factory=list)
    failures: list[TandemError] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask_on(self, client: Client, worker: int) -> None:
        """Ask one after the other: streamed, in one message, and of several models at once."""
        number = 0
        while not self.stop.is_set():
            number += 1
            request_id = f"w{worker}-{number}"
            self.asked.add(request_id)
            try:
                self.answers.append(await self._ask(client, request_id, number % 3))
            except TandemError as error:
                self.failures.append(error)

    async def _ask(self, client: Client, request_id: str, kind: int) -> types_pb2.Answer:
        if kind == 0:
            stream = client.stream(SAID, request_id=request_id, no_cache=True, deadline_seconds=20)
            async for _ in stream:
                pass
            return stream.answer
        strategy = VOTES if kind == 1 else types_pb2.STRATEGY_AUTO
        tier = "" if kind == 1 else "pro"
        return await client.ask(
            SAID, request_id=request_id, tier=tier, strategy=strategy, no_cache=True, deadline_seconds=20
        )

    def whole(self) -> bool:
        """Whether every answer is what the models say, to the last byte."""
        return {answer.text for answer in self.answers} == {default_text(TOKENS)}

    def degraded(self) -> Counter[str]:
        """Return how many answers are less than planned, by reason."""
        return Counter(
            types_pb2.DegradationReason.Name(each.reason)
            for answer in self.answers
            for each in answer.degradations
        )


@contextlib.asynccontextmanager
async def load(running: Fleet) -> AsyncIterator[Load]:
    """Ask without a pause while the context is open; requests under way are waited for at its end."""
    asked = Load()
    async with Client(running.target("orchestrator"), replicas=True) as client, asyncio.TaskGroup() as group:
        for worker in range(WORKERS):
            group.create_task(asked.ask_on(client, worker))
        await asyncio.sleep(1.0)
        yield asked
        asked.stop.set()


def booked(ledgers: list[Path]) -> Counter[str]:
    """Return how often each request is in the ledgers."""
    found: Counter[str] = Counter()
    for ledger in ledgers:
        with reading(f"sqlite:///{ledger}") as connection:
            found.update(str(each) for each in connection.scalars(select(requests.c.request_id)))
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def running(triton: TritonProcess, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleet(triton, tmp_path) as started:
        yield started


async def test_rolling_every_service_fails_nothing(triton: TritonProcess, tmp_path: Path) -> None:
    async with fleet(triton, tmp_path) as running, load(running) as asked:
        for component in COMPONENTS:
            await running.roll(component)
    assert asked.failures == []
    assert [list(answer.degradations) for answer in asked.answers if answer.degradations] == []
    assert asked.whole()
    assert len(asked.answers) == len(asked.asked) > 50
    # All orchestrators have ended by now, so that their ledgers are complete.
    assert booked(running.ledgers) == Counter(asked.asked)


async def test_a_killed_inference_service_is_answered_for(running: Fleet) -> None:
    async with load(running) as asked:
        await running.kill_one("inference-pro")
        await asyncio.sleep(3.0)
        seen = len(asked.answers)
        await running.start("inference-pro")
        await asyncio.sleep(2.0)
    assert asked.failures == []
    assert len(asked.answers) == len(asked.asked) > seen
    # Those that were under way on it, and no more: one for each worker at most, and each may have had a voice on it.
    degraded = asked.degraded()
    assert set(degraded) <= {"DEGRADATION_REASON_UNAVAILABLE", "DEGRADATION_REASON_VOTE_MISSING"}
    assert degraded.total() <= WORKERS


async def test_a_killed_orchestrator_fails_what_was_under_way_on_it_and_says_so(running: Fleet) -> None:
    async with load(running) as asked:
        await running.kill_one("orchestrator")
        await asyncio.sleep(3.0)
        after = len(asked.answers)
        await running.start("orchestrator")
        await asyncio.sleep(1.0)
    assert len(asked.failures) <= WORKERS
    assert {type(each) for each in asked.failures} <= {BackendUnavailable, Draining}
    assert len(asked.answers) + len(asked.failures) == len(asked.asked)
    assert len(asked.answers) > after
    assert asked.whole()
