"""Would catch a request that is lost silently when Triton dies, or a system that does not come back by itself."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.client import Client
from tandem.embedded.system import wait_healthy
from tandem.errors import TandemError
from tandem.serving.clients import open_channel
from tandem.v1 import types_pb2
from tests.e2e.conftest import triton_of
from tests.system import Tandem

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(660)]

STREAMS = 32
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def healths(address: str, seen: list[int]) -> None:
    """Note every health that is told, until cancelled."""
    async with open_channel(address) as channel:
        async for response in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):  # type: ignore[attr-defined]  # the published stubs lack it
            seen.append(response.status)


async def told_of_the_outage(seen: list[int]) -> None:
    """Return once health has been told to be NOT_SERVING."""
    while NOT_SERVING not in seen:
        await asyncio.sleep(0.05)


async def outcome(client: Client, number: int) -> str:
    """Return how a request ends: `answered`, or the reason of its typed error."""
    stream = client.stream(
        f"Write a long story about the number {number}.",
        tier=("r1", "pro")[number % 2],
        sampling=types_pb2.Sampling(max_tokens=60),
        no_cache=True,
        deadline_seconds=40,
    )
    try:
        async for _ in stream:
            pass
    except TandemError as error:
        return error.reason if error.details.metadata.get("request_id") else f"untyped: {error.message}"
    assert stream.answer.text.strip()
    return "answered"


async def test_every_request_gets_an_answer_or_a_typed_error(system: Tandem) -> None:
    seen: list[int] = []
    watcher = asyncio.create_task(healths(system.address, seen))
    async with Client(system.address) as client:
        requests = [asyncio.create_task(outcome(client, number)) for number in range(STREAMS)]
        await asyncio.sleep(2.0)
        killed = triton_of(system)

        killed.kill()
        outcomes = Counter(await asyncio.gather(*requests))
        await asyncio.wait_for(told_of_the_outage(seen), 30)
        assert await wait_healthy(system.address, ("", "r1", "pro"), 60)
        after = await client.ask(
            "Are you back?", sampling=types_pb2.Sampling(max_tokens=4), deadline_seconds=60
        )

    watcher.cancel()
    await asyncio.wait([watcher])
    assert sum(outcomes.values()) == STREAMS
    assert set(outcomes) <= {"answered", "BACKEND_UNAVAILABLE", "DEADLINE_EXCEEDED", "OVERLOADED"}
    assert outcomes.total() - outcomes["answered"] > 0, "nothing was under way when Triton was killed"
    # With all cores busy a look at health may be late, too, so that it is told more often than once.
    assert (seen[0], seen[-1]) == (SERVING, SERVING)
    assert set(seen) == {SERVING, NOT_SERVING}
    assert after.text.strip()
    assert triton_of(system).pid != killed.pid
