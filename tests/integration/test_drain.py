"""Would catch a shutdown that loses a running request, accepts new ones, hangs, or tells health watchers too late."""

from __future__ import annotations

import asyncio
import signal
import time

import grpc
import grpc.aio
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.client import Client
from tandem.embedded.system import wait_healthy
from tandem.serving.clients import Callee, open_channel
from tandem.serving.server import LINGER_SECONDS
from tandem.v1 import orchestrator_pb2_grpc, types_pb2
from tests.integration.asking import default_text, failure, question, sim
from tests.integration.conftest import Start

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SLOW = sim(tokens=100, tpot_ms=60)


async def not_serving_at(address: str) -> float:
    """Return the time at which the health of the whole turns to NOT_SERVING."""
    async with open_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        async for response in stub.Watch(health_pb2.HealthCheckRequest()):  # type: ignore[attr-defined]  # the published stubs lack it
            if response.status == NOT_SERVING:
                return time.monotonic()
    raise AssertionError("the watch ended and health was never NOT_SERVING")


async def slow_answer(
    client: Client, running: asyncio.Semaphore, streamed: bool
) -> tuple[types_pb2.Answer, float]:
    """Return an answer that takes six seconds, and when it was complete."""
    if streamed:
        stream = client.stream(SLOW, tier="r1", no_cache=True, deadline_seconds=20)
        async for event in stream:
            if event.HasField("started"):
                running.release()
        return stream.answer, time.monotonic()
    running.release()
    return await client.ask(SLOW, tier="pro", no_cache=True, deadline_seconds=20), time.monotonic()


@pytest.mark.timeout(240)
async def test_sigterm_under_load_loses_nothing(start: Start) -> None:
    async with (
        start() as system,
        Client(system.address) as client,
        # One that does not look at health, as other people's clients do.
        open_channel(system.address, callee=Callee.FOREIGN) as other,
    ):
        late = orchestrator_pb2_grpc.OrchestratorServiceStub(other)
        assert (await late.Generate(question(sim(tokens=1), tier="r1"), timeout=20)).answer.text == "t0"
        running = asyncio.Semaphore(0)
        health = asyncio.create_task(not_serving_at(system.address))
        # Another watcher comes and goes: that must not make the first one deaf.
        await asyncio.sleep(0.2)
        assert await wait_healthy(system.address, ("",), 30)
        answers = [
            asyncio.create_task(slow_answer(client, running, streamed)) for streamed in [True, False] * 8
        ]
        for _ in answers:
            await running.acquire()
        await asyncio.sleep(0.3)
        everyone = system.descendants()

        told = time.monotonic()
        system.process.send_signal(signal.SIGTERM)
        turned = await asyncio.wait_for(health, 30)
        # Who watches health hears of it; what others send in that moment is still taken.
        try:
            await late.Generate(question(sim(tokens=1), tier="r1"), timeout=20)
        except grpc.aio.AioRpcError:
            assert time.monotonic() - told > LINGER_SECONDS, "it came in time"
        await asyncio.sleep(LINGER_SECONDS)
        refused = await failure(late.Generate(question(sim(tokens=1), tier="r1"), timeout=20))
        finished = await asyncio.gather(*answers)

        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert refused.retry_seconds is not None
        assert [answer.text for answer, _ in finished] == [default_text(100)] * 16
        assert not any(answer.degradations for answer, _ in finished)
        assert all(turned < complete for _, complete in finished)
        assert await system.ended(25) == 0
        assert not [each for each in everyone if psutil.pid_exists(each.pid)]


@pytest.mark.timeout(240)
async def test_sigint_without_load_ends_at_once(start: Start) -> None:
    async with start() as system:
        system.process.send_signal(signal.SIGINT)
        started = time.monotonic()

        assert await system.ended(40) == 0
        assert time.monotonic() - started < 20, "nothing is under way, so that it need not drain for thirty"

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async with open_channel(system.address) as channel:
                stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)
                await stub.Generate(question(sim(tokens=1)), timeout=2)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
