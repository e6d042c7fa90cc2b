"""Would catch: replicas that do not find each other's answers, or give a tenant another's, or one that was forgotten.

The server between them is a real Valkey.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandem.orchestrator import shared_cache
from tandem.orchestrator.shared_cache import SharedCache
from tandem.orchestrator.work import Services
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import ScriptedInference, saying
from tests.fakes.orchestrators import orchestrator
from tests.fakes.services import FakeClassifier, FakeFusion
from tests.fakes.valkey import ValkeyServer, level, until, valkey, written

HIT, MISS = types_pb2.CACHE_OUTCOME_HIT, types_pb2.CACHE_OUTCOME_MISS


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take longer over what is not about time."""
    monkeypatch.setattr(shared_cache, "READ_SECONDS", 3.0)
    monkeypatch.setattr(shared_cache, "WRITE_SECONDS", 20.0)
    monkeypatch.setattr(shared_cache, "PROBE_SECONDS", 20.0)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    async with valkey(tmp_path) as running:
        yield running


class Replica:
    """An orchestrator with tiers of its own."""

    def __init__(self, shared: SharedCache | None) -> None:
        self.r1 = ScriptedInference(saying("because"))
        services = Services(FakeClassifier(), FakeFusion(), {"r1": self.r1, "pro": self.r1})
        changed = policy({"classifier.allowance_ms": 5000})
        self.orchestrator = orchestrator(services, catalogue(), changed, shared=shared)

    async def ask(self, tenant: str = "a", name: str = "test") -> types_pb2.Answer:
        return await self.orchestrator.generate(question(), call(tenant=tenant, request_id=name))

    async def stream(
        self, tenant: str = "a", name: str = "test"
    ) -> list[orchestrator_pb2.StreamGenerateResponse]:
        asked = call(tenant=tenant, request_id=name)
        return [event async for event in self.orchestrator.stream_generate(question(), asked)]


async def test_replicas_share_answers_within_a_tenant(server: ValkeyServer) -> None:
    async with level(server.url) as first, level(server.url) as second:
        one, other = Replica(first), Replica(second)
        assert (await one.ask(name="maker")).cache == MISS
        await written(server)
        found = await other.ask(name="reader")
        assert (found.text, found.cache, found.source_request_id) == ("because", HIT, "maker")
        assert (found.request_id, found.cost_nano_usd, len(found.attempts)) == ("reader", 0, 0)
        assert other.r1.requests == []
        assert (await other.ask(tenant="b")).cache == MISS


async def test_a_stream_gets_what_another_replica_answered(server: ValkeyServer) -> None:
    async with level(server.url) as first, level(server.url) as second:
        await Replica(first).ask(name="maker")
        await written(server)
        events = await Replica(second).stream()
        assert "".join(event.text.delta for event in events) == "because"
        assert events[-1].finished.answer.source_request_id == "maker"


async def test_forgetting_at_another_replica(server: ValkeyServer) -> None:
    async with level(server.url) as first, level(server.url) as second:
        one, other = Replica(first), Replica(second)
        await one.ask(name="maker")
        await written(server)
        await one.ask(name="reader")
        await until(lambda: not first._queue)
        async with first._writing:
            pass
        assert not await other.orchestrator.forget("reader", call(tenant="b"))
        assert await other.orchestrator.forget("reader", call(tenant="a"))
        assert (await other.ask()).cache == MISS


async def test_a_dead_server_changes_no_answer(server: ValkeyServer) -> None:
    async with level(server.url) as shared:
        replica = Replica(shared)
        await server.kill()
        assert [(await replica.ask()).cache for _ in range(2)] == [MISS, HIT]
