"""Would catch a channel that learns minutes late that a name has an address, or that leaks what it replaced."""

from __future__ import annotations

import asyncio
import itertools
import time

import grpc
import grpc.aio
import pytest

from tandem.serving import lasting_channel
from tandem.serving.clients import open_channel
from tandem.serving.lasting_channel import LastingChannel
from tandem.v1 import classifier_pb2, classifier_pb2_grpc
from tests.chart.dns import ZONE, serving_names

LOOPBACK = ("127.0.0.1", 0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting_channel, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(lasting_channel, "STUCK_SECONDS", 0.2)


async def unimplemented(channel: grpc.aio.Channel) -> bool:
    """Whether a server answers, which implements nothing."""
    try:
        await classifier_pb2_grpc.ClassifierServiceStub(channel).Classify(
            classifier_pb2.ClassifyRequest(), timeout=5
        )
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.UNIMPLEMENTED
    raise AssertionError("a call of nothing succeeded")


async def test_a_name_without_an_address_is_asked_for_again_and_again(impatient: None) -> None:
    """GRPC by itself asks at 0, 1, 2.6 and 5.2 seconds, and so on up to every two minutes."""
    asked: list[float] = []
    known: list[str] = []

    def lookup(name: str) -> list[str]:
        asked.append(time.monotonic())
        return known

    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with (
        serving_names("test", lookup, LOOPBACK) as dns,
        open_channel(f"dns://{dns}/classifier.test.{ZONE}:{port}") as channel,
    ):
        assert not await unimplemented(channel)
        await asyncio.sleep(4.0)
        known.append("127.0.0.1")
        appeared = time.monotonic()
        while not await unimplemented(channel):
            await asyncio.sleep(0.02)
        found = time.monotonic() - appeared
    await server.stop(None)
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert max(gaps) < 1.0
    assert found < 1.0


async def test_a_channel_that_is_connected_is_left_alone(impatient: None) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        assert await unimplemented(channel)
        first = channel.now
        await asyncio.sleep(0.6)
        assert channel.now is first
    await server.stop(None)


async def test_what_was_replaced_is_closed_when_its_calls_are_over(impatient: None) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    opened: list[grpc.aio.Channel] = []
    new = asyncio.Event()

    def open_one() -> grpc.aio.Channel:
        opened.append(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        opened[-1].get_state(try_to_connect=True)
        return opened[-1]

    def outdated() -> bool:
        was = new.is_set()
        new.clear()
        return was

    async with LastingChannel(open_one, outdated) as channel:
        for count in range(2, 5):
            new.set()
            async with asyncio.timeout(5):
                while channel.now is not opened[-1] or len(opened) < count:
                    await asyncio.sleep(0.02)
            assert await unimplemented(channel)
        await asyncio.sleep(0.1)
        states = [each.get_state() for each in opened]
        assert states[:-1] == [grpc.ChannelConnectivity.SHUTDOWN] * 3
        assert states[-1] is grpc.ChannelConnectivity.READY
    assert opened[-1].get_state() is grpc.ChannelConnectivity.SHUTDOWN
    await server.stop(None)
