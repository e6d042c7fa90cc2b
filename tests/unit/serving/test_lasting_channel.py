"""Would catch a channel that learns minutes late that a name has an address, or never that it has more.

And one that leaks what it replaced, or that is replaced for nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest

from tandem.serving import lasting_channel
from tandem.serving.clients import Callee, open_channel
from tandem.serving.lasting_channel import LastingChannel
from tandem.v1 import classifier_pb2, classifier_pb2_grpc
from tests.chart.dns import ZONE, serving_names
from tests.fakes.calls import user

LOOPBACK = ("127.0.0.1", 0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting_channel, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(lasting_channel, "STUCK_SECONDS", 0.2)


@pytest.fixture
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting_channel, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(lasting_channel, "SETTLED_SECONDS", 0.2)


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
    assert max(gaps) < 3.0
    assert found < 3.0


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


@dataclass
class Changing:
    """Addresses that change, and a channel to where they are when it is opened, as gRPC resolves a name."""

    known: list[int]
    opened: list[grpc.aio.Channel] = field(default_factory=list)

    def open_one(self) -> grpc.aio.Channel:
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in self.known)
        self.opened.append(open_channel(target, callee=Callee.FOREIGN).now)
        return self.opened[-1]

    async def addresses(self) -> frozenset[tuple[str, int]]:
        return frozenset(("127.0.0.1", port) for port in self.known)

    def channel(self) -> LastingChannel:
        return LastingChannel(self.open_one, lambda: False, self.addresses)


@asynccontextmanager
async def counting_servers(many: int) -> AsyncIterator[tuple[list[int], list[int]]]:
    """Run servers; give their ports, and how often each was asked."""
    asked = [0] * many

    class Counting(classifier_pb2_grpc.ClassifierServiceServicer):
        def __init__(self, number: int) -> None:
            self.number = number

        async def Classify(
            self, request: classifier_pb2.ClassifyRequest, context: grpc.aio.ServicerContext[Any, Any]
        ) -> classifier_pb2.ClassifyResponse:
            asked[self.number] += 1
            if request.messages:
                await asyncio.sleep(1.5)
            return classifier_pb2.ClassifyResponse()

    servers, ports = [], []
    for number in range(many):
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        classifier_pb2_grpc.add_ClassifierServiceServicer_to_server(Counting(number), server)
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        servers.append(server)
    try:
        yield ports, asked
    finally:
        for server in servers:
            await server.stop(None)


async def test_an_address_that_is_added_gets_its_share(watchful: None) -> None:
    async with counting_servers(3) as (ports, asked):
        changing = Changing(ports[:2])
        async with changing.channel() as channel:
            stub = classifier_pb2_grpc.ClassifierServiceStub(channel)
            slow = stub.Classify(classifier_pb2.ClassifyRequest(messages=[user("slow")]))
            await asyncio.sleep(0.3)
            assert len(changing.opened) == 1
            changing.known = ports
            async with asyncio.timeout(10):
                while len(changing.opened) == 1 or channel.now is changing.opened[0]:
                    await asyncio.sleep(0.01)
                asked[:] = [0, 0, 0]
                while not all(asked):
                    await stub.Classify(classifier_pb2.ClassifyRequest(), timeout=5)
            asked[:] = [0, 0, 0]
            for _ in range(30):
                await stub.Classify(classifier_pb2.ClassifyRequest(), timeout=5)
            assert asked == [10, 10, 10]
            await slow
            assert len(changing.opened) == 2


async def test_an_address_that_goes_and_a_resolver_that_fails_change_nothing(watchful: None) -> None:
    async with counting_servers(2) as (ports, _):
        changing = Changing(ports)
        async with changing.channel() as channel:
            await channel.channel_ready()
            for known in (ports[:1], [], ports[:1]):
                changing.known = known
                await asyncio.sleep(0.4)
            assert len(changing.opened) == 1


async def test_addresses_that_are_added_one_by_one_are_found_together(
    watchful: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting_channel, "SETTLED_SECONDS", 2.0)
    async with counting_servers(4) as (ports, _):
        changing = Changing(ports[:1])
        async with changing.channel() as channel:
            await channel.channel_ready()
            for many in (2, 3, 4):
                await asyncio.sleep(0.1)
                changing.known = ports[:many]
            async with asyncio.timeout(10):
                while channel.now is changing.opened[0]:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(2.5)
            assert len(changing.opened) == 2


async def test_addresses_that_are_all_new_are_not_waited_for(
    watchful: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When everything is rolled at once, the new caller's channel is young, and the only replica it knows goes."""
    monkeypatch.setattr(lasting_channel, "SETTLED_SECONDS", 3600.0)
    async with counting_servers(2) as (ports, asked):
        changing = Changing(ports[:1])
        async with changing.channel() as channel:
            await channel.channel_ready()
            async with asyncio.timeout(10):
                while not channel._known:
                    await asyncio.sleep(0.01)
            changing.known = ports
            await asyncio.sleep(0.3)
            assert len(changing.opened) == 1
            changing.known = ports[1:]
            async with asyncio.timeout(10):
                while channel.now is changing.opened[0]:
                    await asyncio.sleep(0.02)
            stub = classifier_pb2_grpc.ClassifierServiceStub(channel)
            await stub.Classify(classifier_pb2.ClassifyRequest(), timeout=5)
    assert asked == [0, 1]


async def test_a_clients_channel_follows_no_addresses() -> None:
    """A balancer's name gives some of many addresses, others each time: the channel would never rest."""
    async with open_channel("127.0.0.1:1", callee=Callee.FRONT) as channel:
        assert await channel._addresses() == frozenset()
    async with open_channel("127.0.0.1:1") as channel:
        assert await channel._addresses() == {("127.0.0.1", 1)}
