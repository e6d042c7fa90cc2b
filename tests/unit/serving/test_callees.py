"""Would catch: calls that go on to a replica that drains, failures that are repeated where nobody counts them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.errors import BackendUnavailable
from tandem.serving.clients import Callee, GrpcClassifier, open_channel
from tandem.serving.server import Listen, Server
from tandem.v1 import classifier_pb2, classifier_pb2_grpc
from tests.fakes.calls import call, user
from tests.fakes.listening import RULE

CLASSIFIER = "tandem.v1.ClassifierService"
QUESTION = classifier_pb2.ClassifyRequest(messages=[user("why?")])


@dataclass
class Replica(classifier_pb2_grpc.ClassifierServiceServicer):
    """A classifier that counts what it is asked."""

    name: str
    asked: int = 0
    sick: bool = False
    busy: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    server: Server = field(init=False)

    async def Classify(
        self, request: classifier_pb2.ClassifyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> classifier_pb2.ClassifyResponse:
        self.asked += 1
        if self.sick:
            raise BackendUnavailable("sick")
        if request.messages[0].parts[0].text == "slow":
            self.busy.set()
            await self.release.wait()
        return classifier_pb2.ClassifyResponse()


@contextlib.asynccontextmanager
async def replicas(*names: str) -> AsyncIterator[tuple[list[Replica], str]]:
    """Run replicas, and give the target of them all."""
    running = [Replica(name) for name in names]
    for replica in running:
        replica.server = Server(Listen("127.0.0.1:0", 5.0), RULE, [CLASSIFIER])
        classifier_pb2_grpc.add_ClassifierServiceServicer_to_server(replica, replica.server.grpc)
        await replica.server.start()
    try:
        yield running, "ipv4:" + ",".join(f"127.0.0.1:{each.server.port}" for each in running)
    finally:
        for replica in running:
            await replica.server.grpc.stop(None)


async def connected(channel: grpc.aio.Channel, count: int, running: list[Replica]) -> None:
    """Ask until every replica has been asked."""
    classifier = GrpcClassifier(channel)
    async with asyncio.timeout(5):
        while sum(each.asked > 0 for each in running) < count:
            await classifier.classify(QUESTION, call(seconds=5))
    for each in running:
        each.asked = 0


@pytest.mark.parametrize("callee", [Callee.FRONT, Callee.SERVICE, Callee.PURE])
async def test_calls_are_spread_evenly(callee: Callee) -> None:
    async with replicas("a", "b", "c") as (running, target), open_channel(target, callee=callee) as channel:
        await connected(channel, 3, running)
        for _ in range(30):
            await GrpcClassifier(channel).classify(QUESTION, call(seconds=5))
        assert [each.asked for each in running] == [10, 10, 10]


@pytest.mark.parametrize("callee", [Callee.SERVICE, Callee.PURE])
async def test_a_replica_that_drains_gets_no_more_calls_and_none_fails(callee: Callee) -> None:
    async with replicas("a", "b") as (running, target), open_channel(target, callee=callee) as channel:
        await connected(channel, 2, running)
        slow = classifier_pb2.ClassifyRequest(messages=[user("slow")])
        classifier = GrpcClassifier(channel)
        last = asyncio.create_task(classifier.classify(slow, call(seconds=20)))
        waiting = [asyncio.create_task(each.busy.wait()) for each in running]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        (leaving,) = (each for each in running if each.busy.is_set())
        (staying,) = (each for each in running if each is not leaving)
        draining = asyncio.create_task(leaving.server.drain())
        await asyncio.sleep(0.2)
        for _ in range(20):
            await classifier.classify(QUESTION, call(seconds=5))
        assert (leaving.asked, staying.asked) == (1, 20)
        leaving.release.set()
        await asyncio.gather(draining, last)
        for task in waiting:
            task.cancel()


async def test_a_pure_call_that_fails_is_made_once_more_elsewhere() -> None:
    async with replicas("a", "b") as (running, target), open_channel(target, callee=Callee.PURE) as channel:
        await connected(channel, 2, running)
        running[0].sick = True
        for _ in range(4):
            await GrpcClassifier(channel).classify(QUESTION, call(seconds=5))
        assert running[1].asked == 4
        assert running[0].asked >= 3


async def test_any_other_call_is_left_to_those_who_count_attempts() -> None:
    async with replicas("a", "b") as (running, target), open_channel(target) as channel:
        await connected(channel, 2, running)
        running[0].sick = True
        failures = 0
        for _ in range(6):
            try:
                await GrpcClassifier(channel).classify(QUESTION, call(seconds=5))
            except BackendUnavailable:
                failures += 1
        assert failures == 3
        assert [each.asked for each in running] == [3, 3]


async def test_when_everything_fails_calls_are_hardly_repeated() -> None:
    async with replicas("a", "b") as (running, target), open_channel(target, callee=Callee.PURE) as channel:
        await connected(channel, 2, running)
        for each in running:
            each.sick = True
        for _ in range(100):
            with pytest.raises(BackendUnavailable, match="sick"):
                await GrpcClassifier(channel).classify(QUESTION, call(seconds=5))
        assert 101 <= sum(each.asked for each in running) <= 110


async def test_a_client_survives_a_proxy_that_closes_connections() -> None:
    """A call that was not sent before the connection was closed is sent on the next one."""
    peers: set[str] = set()

    class Noting(classifier_pb2_grpc.ClassifierServiceServicer):
        async def Classify(
            self, request: classifier_pb2.ClassifyRequest, context: grpc.aio.ServicerContext[Any, Any]
        ) -> classifier_pb2.ClassifyResponse:
            peers.add(context.peer())
            await asyncio.sleep(0.01)
            return classifier_pb2.ClassifyResponse()

    server = grpc.aio.server(options=[("grpc.max_connection_age_ms", 100)])
    classifier_pb2_grpc.add_ClassifierServiceServicer_to_server(Noting(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(f"127.0.0.1:{port}", callee=Callee.FRONT) as channel:

        async def asking() -> None:
            for _ in range(60):
                await GrpcClassifier(channel).classify(QUESTION, call(seconds=5))

        await asyncio.gather(*(asking() for _ in range(8)))
    await server.stop(None)
    assert len(peers) > 3


# --- who calls


async def test_a_server_knows_how_many_processes_call_it() -> None:
    """Several connections of one count once: one that was replaced lives on for as long as its calls."""

    async def callers(expected: int) -> None:
        async with asyncio.timeout(5):
            while running[0].server.callers != expected:
                await asyncio.sleep(0.01)

    async with replicas("a") as (running, target):
        await callers(0)
        async with open_channel(target), open_channel(target):
            await callers(1)
            async with another_process(target):
                await callers(2)
            await callers(1)
        await callers(0)


async def test_those_who_do_not_call_are_not_counted() -> None:
    async with replicas("a") as (running, target):
        for callee in (Callee.FRONT, Callee.FOREIGN):
            async with open_channel(target, callee=callee) as channel:
                await channel.channel_ready()
                stub: Any = health_pb2_grpc.HealthStub(channel)
                watching = stub.Watch(health_pb2.HealthCheckRequest(service=""))
                assert await watching.read() is not grpc.aio.EOF
                assert running[0].server.callers == 0


@contextlib.asynccontextmanager
async def another_process(target: str) -> AsyncIterator[None]:
    """Run a process that has a channel open to a target."""
    program = (
        "import asyncio\nfrom tandem.serving.clients import open_channel\n"
        "async def main() -> None:\n"
        f"    async with open_channel({target!r}):\n        await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


# --- connecting


@contextlib.asynccontextmanager
async def distant(port: int, seconds: float) -> AsyncIterator[str]:
    """Give an address behind which a server's first words take their time, as over a long or busy way."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while data := await reader.read(65536):
                writer.write(data)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("callee", [Callee.FRONT, Callee.SERVICE, Callee.FOREIGN])
async def test_a_long_way_is_no_failure(callee: Callee) -> None:
    async with replicas("far") as ((far,), _), distant(far.server.port, 0.5) as address:
        async with open_channel(address, callee=callee) as channel:
            await GrpcClassifier(channel).classify(QUESTION, call(seconds=20))
        assert far.asked == 1
