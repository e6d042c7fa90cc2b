"""Would catch: a stream for every request, one shared by two, a dead one lent, a request not cancelled.

And warm streams that keep all requests at the Tritons that there were first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc.aio
import pytest
from tritonclient.grpc import service_pb2

from tandem.errors import BackendUnavailable
from tandem.inference import streams
from tandem.inference.streams import Exchange, StreamPool
from tandem.serving.clients import open_channel
from tests.fakes import triton

REQUEST = service_pb2.ModelInferRequest(model_name="r1")


@dataclass
class Setup:
    """A pool and what it talks to."""

    triton: triton.FakeTriton
    pool: StreamPool
    port: int


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    fake = triton.FakeTriton()
    async with triton.served(fake) as port, open_channel(f"127.0.0.1:{port}") as channel:
        pool = StreamPool(channel)
        yield Setup(fake, pool, port)
        pool.close()


async def answer(exchange: Exchange) -> int:
    """Run one request to its end; return the number of responses."""
    await exchange.send(REQUEST)
    count = 0
    while not exchange.finished:
        response = await exchange.receive()
        count += 1
        exchange.finished = response.infer_response.parameters["triton_final_response"].bool_param
    return count


async def test_a_finished_stream_serves_the_next_request(setup: Setup) -> None:
    for _ in range(5):
        with setup.pool.exchange() as exchange:
            assert await answer(exchange) == 3
    assert setup.triton.streams == 1
    assert len(setup.triton.requests) == 5


async def test_each_request_has_a_stream_of_its_own(setup: Setup) -> None:
    with setup.pool.exchange() as one, setup.pool.exchange() as two:
        assert one.stream is not two.stream
        assert [await answer(one), await answer(two)] == [3, 3]
    assert setup.triton.streams == 2


async def test_an_unfinished_request_is_cancelled_at_the_server(setup: Setup) -> None:
    setup.triton.script = setup.triton.hang
    with setup.pool.exchange() as exchange:
        await exchange.send(REQUEST)
        await exchange.receive()
    async with asyncio.timeout(5):
        await setup.triton.cancelled.wait()


async def test_a_cancelled_stream_is_not_lent_again(setup: Setup) -> None:
    with setup.pool.exchange() as exchange:
        await exchange.send(REQUEST)
    with setup.pool.exchange() as exchange:
        assert await answer(exchange) == 3
    assert setup.triton.streams == 2


async def test_the_task_that_waits_may_be_cancelled(setup: Setup) -> None:
    setup.triton.script = setup.triton.hang

    async def wait() -> None:
        with setup.pool.exchange() as exchange:
            await answer(exchange)

    task = asyncio.create_task(wait())
    await setup.triton.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        await setup.triton.cancelled.wait()


async def test_no_more_streams_are_kept_than_allowed(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "IDLE_STREAMS", 1)
    with setup.pool.exchange() as one, setup.pool.exchange() as two:
        await answer(one)
        await answer(two)
    assert sorted(exchange.stream.cancelled() for exchange in (one, two)) == [False, True]


async def test_closing_cancels_idle_streams(setup: Setup) -> None:
    with setup.pool.exchange() as exchange:
        await answer(exchange)
    setup.pool.close()
    assert exchange.stream.cancelled()


async def test_nobody_listens() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        with (
            pytest.raises(BackendUnavailable, match="Triton is not reachable"),
            StreamPool(channel).exchange() as exchange,
        ):
            await answer(exchange)


async def test_the_server_dies_in_the_middle() -> None:
    fake = triton.FakeTriton()
    fake.script = fake.hang
    async with contextlib.AsyncExitStack() as server:
        port = await server.enter_async_context(triton.served(fake))
        async with open_channel(f"127.0.0.1:{port}") as channel:
            waiting = asyncio.create_task(_answered(StreamPool(channel)))
            await fake.waiting.wait()
            await server.aclose()
            with pytest.raises(BackendUnavailable, match="Triton is not reachable"):
                await waiting


async def _answered(pool: StreamPool) -> int:
    with pool.exchange() as exchange:
        return await answer(exchange)


async def test_a_stream_that_died_while_idle_is_replaced() -> None:
    fake = triton.FakeTriton()
    async with triton.served(fake) as port:
        channel = open_channel(f"127.0.0.1:{port}")
        pool = StreamPool(channel)
        with pool.exchange() as exchange:
            await answer(exchange)
        idle = exchange.stream
    while not idle.done():
        await asyncio.sleep(0.001)
    async with triton.served(fake, port), asyncio.timeout(5):
        while True:
            try:
                assert await _answered(pool) == 3
                break
            except BackendUnavailable:
                await channel.channel_ready()
    assert fake.streams == 2
    pool.close()
    await channel.close()


async def test_the_end_of_a_stream_is_no_answer() -> None:
    """Triton closes the stream with status OK, without a final response."""

    class Closing(triton.FakeTriton):
        async def ModelStreamInfer(
            self,
            request_iterator: AsyncIterator[service_pb2.ModelInferRequest],
            context: grpc.aio.ServicerContext[object, object],
        ) -> None:
            return

    async with triton.served(Closing()) as port, open_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(BackendUnavailable, match="Triton"):
            await _answered(StreamPool(channel))


async def test_a_stream_that_nobody_uses_is_closed(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "IDLE_SECONDS", 2.0)
    with setup.pool.exchange() as exchange:
        await answer(exchange)
    first = exchange.stream
    await asyncio.sleep(1.2)
    with setup.pool.exchange() as exchange:
        await answer(exchange)
    assert exchange.stream is first, "used in time, it is kept"
    await asyncio.sleep(1.2)
    assert not first.done(), "its time counts from its last use"
    async with asyncio.timeout(10):
        while not first.done():
            await asyncio.sleep(0.01)
    with setup.pool.exchange() as exchange:
        assert await answer(exchange) == 3
    assert setup.triton.streams == 2


async def test_streams_of_a_channel_that_was_replaced_end_with_their_request(setup: Setup) -> None:
    async with open_channel(f"127.0.0.1:{setup.port}") as channel:
        pool = StreamPool(channel)
        with pool.exchange() as idle, pool.exchange() as running:
            await answer(idle)
            idle_stream, busy_stream = idle.stream, running.stream
        first, channel.now = channel.now, open_channel(f"127.0.0.1:{setup.port}").now
        with pool.exchange() as fresh:
            assert fresh.stream is not idle_stream
            assert idle_stream.cancelled()
            assert await answer(fresh) == 3
        with pool.exchange() as again:
            assert again.stream is fresh.stream
            assert await answer(again) == 3
        assert busy_stream.done()
        pool.close()
        await first.close()


async def test_a_request_outlives_the_replacement_of_its_channel(setup: Setup) -> None:
    async with open_channel(f"127.0.0.1:{setup.port}") as channel:
        pool = StreamPool(channel)
        with pool.exchange() as running:
            first, channel.now = channel.now, open_channel(f"127.0.0.1:{setup.port}").now
            assert await answer(running) == 3
        assert running.stream.cancelled()
        pool.close()
        await first.close()
