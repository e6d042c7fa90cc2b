"""Would catch: a service that tools cannot look into, health that turns late, a drain that cuts off or never ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

import grpc.aio
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tandem.serving.clients import open_channel
from tandem.serving.server import LIVE, Listen, Server, StartError, stop_signal
from tandem.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from tests.fakes.calls import question
from tests.fakes.listening import ORCHESTRATOR, RULE, Listening, listening
from tests.fakes.servicer import BareServicer

Watching: TypeAlias = grpc.aio.UnaryStreamCall[Any, health_pb2.HealthCheckResponse]
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Waiting(BareServicer):
    """Answers when it is let."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()

    async def Generate(
        self, request: orchestrator_pb2.GenerateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> orchestrator_pb2.GenerateResponse:
        self.entered.set()
        await self.release.wait()
        return orchestrator_pb2.GenerateResponse()


@contextlib.asynccontextmanager
async def opened(waiting: Waiting, drain_seconds: float = 5.0) -> AsyncIterator[Listening]:
    async with listening(
        lambda server: orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(waiting, server),
        drain_seconds=drain_seconds,
    ) as served:
        yield served


@pytest.fixture
async def served() -> AsyncIterator[Listening]:
    async with opened(Waiting()) as found:
        yield found


async def check(served: Listening, service: str) -> int:
    stub: Any = health_pb2_grpc.HealthStub(served.channel)
    response: health_pb2.HealthCheckResponse
    response = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    return response.status


def watch(served: Listening, service: str = "") -> Watching:
    stub: Any = health_pb2_grpc.HealthStub(served.channel)
    rpc: Watching = stub.Watch(health_pb2.HealthCheckRequest(service=service))
    return rpc


async def told(rpc: Watching) -> int:
    """Return the next status."""
    response = await rpc.read()
    assert isinstance(response, health_pb2.HealthCheckResponse)
    return response.status


# --- health


async def test_health_is_bad_until_it_is_said_to_be_good(served: Listening) -> None:
    assert [await check(served, name) for name in ("", ORCHESTRATOR, LIVE)] == [
        NOT_SERVING,
        NOT_SERVING,
        SERVING,
    ]
    served.server.set_health({"": True, ORCHESTRATOR: True})
    assert [await check(served, name) for name in ("", ORCHESTRATOR)] == [SERVING, SERVING]
    served.server.set_health({ORCHESTRATOR: False})
    assert [await check(served, name) for name in ("", ORCHESTRATOR)] == [SERVING, NOT_SERVING]


async def test_health_of_what_does_not_exist(served: Listening) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(served, "nobody")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_watching_tells_every_change(served: Listening) -> None:
    rpc = watch(served, ORCHESTRATOR)
    assert await told(rpc) == NOT_SERVING
    served.server.set_health({ORCHESTRATOR: True})
    assert await told(rpc) == SERVING
    rpc.cancel()


async def test_a_watcher_that_leaves_does_not_deafen_the_others(served: Listening) -> None:
    leaving, staying = watch(served), watch(served)
    assert [await told(rpc) for rpc in (leaving, staying)] == [NOT_SERVING, NOT_SERVING]
    leaving.cancel()
    await asyncio.sleep(0.05)
    served.server.set_health({"": True})
    async with asyncio.timeout(5):
        assert await told(staying) == SERVING
    staying.cancel()


# --- what tools ask


async def test_reflection_lists_the_services(served: Listening) -> None:
    channel: Any = served.channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    rpc = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    names = {service.name for service in (await rpc.read()).list_services_response.service}
    assert names >= {ORCHESTRATOR, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_reflection_describes_a_service(served: Listening) -> None:
    channel: Any = served.channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=ORCHESTRATOR)
    found = await stub.ServerReflectionInfo(iter([asked])).read()
    assert found.file_descriptor_response.file_descriptor_proto


async def test_channelz_knows_the_server(served: Listening) -> None:
    channel: Any = served.channel
    answer = await channelz_pb2_grpc.ChannelzStub(channel).GetServers(channelz_pb2.GetServersRequest())
    assert any(server.data.calls_started for server in answer.server)


# --- starting


async def test_an_address_that_is_taken(served: Listening) -> None:
    second = Server(Listen(served.target, 1.0), RULE, [ORCHESTRATOR])
    with pytest.raises(StartError, match=f"cannot listen on {served.target}.*choose another address"):
        await second.start()


# --- draining


async def test_draining_turns_health_first_and_lets_running_calls_finish() -> None:
    waiting = Waiting()
    async with opened(waiting) as served:
        served.server.set_health({"": True, ORCHESTRATOR: True})
        watching = watch(served)
        assert await told(watching) == SERVING
        running = asyncio.ensure_future(
            orchestrator_pb2_grpc.OrchestratorServiceStub(served.channel).Generate(question())
        )
        await waiting.entered.wait()
        draining = asyncio.create_task(served.server.drain())
        assert await told(watching) == NOT_SERVING
        served.server.set_health({"": True})
        assert await check(served, LIVE) == NOT_SERVING
        assert await check(served, "") == NOT_SERVING, "a late check of health must not undo it"
        assert not draining.done()
        waiting.release.set()
        assert await running == orchestrator_pb2.GenerateResponse()
        async with asyncio.timeout(5):
            await draining


async def test_what_is_sent_before_the_news_arrives_is_taken() -> None:
    waiting = Waiting()
    waiting.release.set()
    async with opened(waiting) as served, grpc.aio.insecure_channel(served.target) as deaf:
        served.server.set_health({"": True})
        watching = watch(served)
        assert await told(watching) == SERVING
        draining = asyncio.create_task(served.server.drain())
        assert await told(watching) == NOT_SERVING
        stub = orchestrator_pb2_grpc.OrchestratorServiceStub(deaf)
        assert await stub.Generate(question(), timeout=5) == orchestrator_pb2.GenerateResponse()
        async with asyncio.timeout(5):
            await draining


async def test_an_end_that_nobody_watches_does_not_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(Listen("127.0.0.1:0", 5.0), RULE, [ORCHESTRATOR])
    await server.start()
    monkeypatch.setattr("tandem.serving.server.LINGER_SECONDS", 3600.0)
    async with asyncio.timeout(5):
        await server.drain()


async def test_whoever_still_sends_is_told_to_go_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    # With all cores busy, seconds may lie between two calls.
    monkeypatch.setattr("tandem.serving.server.QUIET_SECONDS", 3.0)
    monkeypatch.setattr("tandem.serving.server.NOTICE_SECONDS", 60.0)
    waiting = Waiting()
    async with opened(waiting) as served:
        stub = orchestrator_pb2_grpc.OrchestratorServiceStub(served.channel)
        running = asyncio.ensure_future(stub.Generate(question()))
        await waiting.entered.wait()
        draining = asyncio.create_task(served.server.drain())
        reasons = []
        for number in range(10):
            if number == 2:
                waiting.release.set()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Generate(question(), timeout=5)
            reasons.append(dict(refused.value.trailing_metadata() or ())["tandem-reason"])
            await asyncio.sleep(0.1)
        assert reasons == ["DRAINING"] * 10
        assert await running == orchestrator_pb2.GenerateResponse()
        async with asyncio.timeout(20):
            await draining


async def test_whoever_sends_without_end_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.serving.server.NOTICE_SECONDS", 0.5)
    async with opened(Waiting()) as served:
        stub = orchestrator_pb2_grpc.OrchestratorServiceStub(served.channel)

        async def send() -> None:
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await stub.Generate(question(), timeout=5)

        sending = asyncio.create_task(send())
        async with asyncio.timeout(5):
            await served.server.drain()
        sending.cancel()
        await asyncio.wait([sending])


async def test_draining_ends_though_a_call_does_not() -> None:
    waiting = Waiting()
    async with opened(waiting, drain_seconds=0.05) as served:
        running = asyncio.ensure_future(
            orchestrator_pb2_grpc.OrchestratorServiceStub(served.channel).Generate(question())
        )
        await waiting.entered.wait()
        async with asyncio.timeout(5):
            await served.server.drain()
        with pytest.raises(grpc.aio.AioRpcError):
            await running


async def test_after_draining_nobody_listens(served: Listening) -> None:
    await served.server.drain()
    async with open_channel(served.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await orchestrator_pb2_grpc.OrchestratorServiceStub(channel).Generate(question(), timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def old_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_the_event(number: signal.Signals, old_handlers: None) -> None:
    async with stop_signal() as stop, asyncio.timeout(5):
        os.kill(os.getpid(), number)
        await stop.wait()


# --- addresses


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:http"]
)
async def test_an_address_that_grpc_would_take_for_another_is_refused(address: str) -> None:
    server = Server(Listen(address, 1.0), RULE, (ORCHESTRATOR,))
    with pytest.raises(StartError, match=f"cannot listen on {address}: write HOST:PORT"):
        await server.start()
    await server.grpc.stop(None)


# --- more calls than can be looked at


async def test_a_burst_is_not_cut_down_by_grpc(served: Listening) -> None:
    stub: Any = health_pb2_grpc.HealthStub(served.channel)
    asked = health_pb2.HealthCheckRequest(service=LIVE)
    await stub.Check(asked)
    calls = [stub.Check(asked) for _ in range(2500)]
    # They arrive while nobody looks: gRPC's own threads take them in.
    time.sleep(1.0)  # noqa: ASYNC251 - to hold the loop up is what this is about
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, BaseException)] == []
