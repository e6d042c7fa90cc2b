"""Would catch: an error that arrives untyped or tells a secret, a handler that outlives its client or deadline."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio
import pytest
import structlog
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from tandem.call import Call
from tandem.errors import (
    TABLE,
    BackendError,
    Details,
    Draining,
    InternalError,
    OutOfMemory,
    PromptTooLong,
    TandemError,
    Violation,
)
from tandem.serving.authentication import Authenticator
from tandem.serving.context import DeadlineRule, current_call
from tandem.serving.keys import digest
from tandem.serving.status import DETAILS_KEY, from_rpc_error
from tandem.v1 import orchestrator_pb2, orchestrator_pb2_grpc, types_pb2
from tests.fakes.calls import question
from tests.fakes.listening import Listening, listening
from tests.fakes.servicer import BareServicer

STREAMED = orchestrator_pb2.StreamGenerateRequest(request=question())
Context = grpc.aio.ServicerContext[Any, Any]
Reply = orchestrator_pb2.StreamGenerateResponse


class Servicer(BareServicer):
    """Does the same in every rpc: what `act` does."""

    def __init__(self) -> None:
        self.act: Callable[[], Awaitable[None]] = self.nothing
        self.replies_before = 0
        self.calls: list[Call] = []
        self.entered = asyncio.Event()
        self.left = asyncio.Event()
        self.release = asyncio.Event()

    async def nothing(self) -> None:
        """Be quick."""

    async def hang(self) -> None:
        await asyncio.Event().wait()

    async def wait(self) -> None:
        await self.release.wait()

    @contextlib.asynccontextmanager
    async def _noted(self) -> AsyncIterator[None]:
        self.calls.append(current_call())
        self.entered.set()
        try:
            yield
        finally:
            self.left.set()

    async def Generate(
        self, request: orchestrator_pb2.GenerateRequest, context: Context
    ) -> orchestrator_pb2.GenerateResponse:
        async with self._noted():
            await self.act()
            return orchestrator_pb2.GenerateResponse(answer=types_pb2.Answer(text="ok"))

    async def StreamGenerate(
        self, request: orchestrator_pb2.StreamGenerateRequest, context: Context
    ) -> AsyncGenerator[Reply, None]:
        async with self._noted():
            for _ in range(self.replies_before):
                yield Reply(text=orchestrator_pb2.TextDelta(delta="ok"))
            await self.act()

    async def BatchGenerate(
        self, request_iterator: AsyncIterator[orchestrator_pb2.BatchGenerateRequest], context: Context
    ) -> AsyncGenerator[orchestrator_pb2.BatchGenerateResponse, None]:
        async with self._noted():
            await self.act()
            async for item in request_iterator:
                yield orchestrator_pb2.BatchGenerateResponse(index=item.index)


class Edge:
    """A server with the servicer, and the ways to call it."""

    def __init__(self, servicer: Servicer, served: Listening) -> None:
        self.servicer = servicer
        self.served = served
        self.stub = orchestrator_pb2_grpc.OrchestratorServiceStub(served.channel)

    async def unary(self, **options: Any) -> None:
        await self.stub.Generate(question(), **options)

    async def stream(self, **options: Any) -> None:
        async for _ in self.stub.StreamGenerate(STREAMED, **options):
            pass

    async def both_ways(self, **options: Any) -> None:
        # Writing to a call that the server has ended makes grpc.aio hide the status, so nothing is written.
        rpc = self.stub.BatchGenerate(_nothing(), **options)
        try:
            async for _ in rpc:
                pass
        finally:
            rpc.cancel()


async def _nothing() -> AsyncIterator[orchestrator_pb2.BatchGenerateRequest]:
    return
    yield


@contextlib.asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Edge]:
    servicer = Servicer()
    async with listening(
        lambda server: orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer, server),
        **options,
    ) as served:
        yield Edge(servicer, served)


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with opened() as found:
        yield found


kinds = pytest.mark.parametrize("kind", ["unary", "stream", "both_ways"])
"""Every kind of rpc."""


async def failing(edge: Edge, kind: str, **options: Any) -> tuple[grpc.aio.AioRpcError, Status]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(edge, kind)(**options)
    status = Status()
    for key, value in caught.value.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            status = Status.FromString(value)
    return caught.value, status


def info_of(status: Status) -> ErrorInfo:
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


# --- errors


@kinds
async def test_all_is_well(edge: Edge, kind: str) -> None:
    await getattr(edge, kind)()
    assert edge.servicer.left.is_set()


@kinds
@pytest.mark.parametrize("error", TABLE, ids=lambda error: error.__name__)
async def test_every_error_reaches_the_client_typed(edge: Edge, kind: str, error: type[TandemError]) -> None:
    async def act() -> None:
        raise error("what, why and what to do: 做")

    edge.servicer.act = act
    failure, status = await failing(edge, kind, metadata=[("tandem-request-id", "mine")])
    code, reason = TABLE[error]
    assert failure.code().value[0] == status.code == code
    assert failure.details() == status.message == "what, why and what to do: 做"
    assert info_of(status) == ErrorInfo(reason=reason, domain="tandem", metadata={"request_id": "mine"})
    assert type(from_rpc_error(failure, "x")) is error


async def test_details_reach_the_client(edge: Edge) -> None:
    async def act() -> None:
        details = Details(
            (Violation("messages", "too many"),),
            (Violation("tenant:x/y", "used up"),),
            2.5,
            {"tokens": "3000"},
        )
        raise PromptTooLong("long", details)

    edge.servicer.act = act
    failure, status = await failing(edge, "unary")
    bad, quota, retry = BadRequest(), QuotaFailure(), RetryInfo()
    assert status.details[1].Unpack(bad)
    assert status.details[2].Unpack(quota)
    assert status.details[3].Unpack(retry)
    assert (quota.violations[0].subject, quota.violations[0].description) == ("tenant:x/y", "used up")
    assert list(from_rpc_error(failure, "x").details.quotas) == [Violation("tenant:x/y", "used up")]
    assert bad.field_violations[0].field == "messages"
    assert retry.retry_delay.ToTimedelta().total_seconds() == 2.5
    assert info_of(status).metadata["tokens"] == "3000"


async def test_a_very_long_error_reaches_the_client_typed(edge: Edge) -> None:
    async def act() -> None:
        raise OutOfMemory("CUDA out of memory. 内存不足 " * 10_000)

    edge.servicer.act = act
    failure, _ = await failing(edge, "unary")
    error = from_rpc_error(failure, "x")
    assert type(error) is OutOfMemory
    assert error.message.startswith("CUDA out of memory.")


async def test_the_log_has_no_word_of_a_request_that_an_error_quotes(edge: Edge) -> None:
    async def act() -> None:
        raise BackendError(
            "r1: sampling parameter stop is ['my diagnosis'] and must be a list of short texts"
        )

    edge.servicer.act = act
    with structlog.testing.capture_logs() as lines:
        failure, _ = await failing(edge, "unary")
    assert "my diagnosis" in (failure.details() or "")
    (line,) = (line for line in lines if line["event"] == "request")
    assert line["message"] == "r1: sampling parameter stop is […] and must be a list of short texts"
    assert "diagnosis" not in str(lines)


@kinds
async def test_a_defect_tells_nothing(edge: Edge, kind: str) -> None:
    async def act() -> None:
        raise RuntimeError("the password is swordfish")

    edge.servicer.act = act
    failure, status = await failing(edge, kind, metadata=[("tandem-request-id", "mine")])
    assert failure.code() is grpc.StatusCode.INTERNAL
    assert info_of(status).reason == "INTERNAL"
    assert info_of(status).metadata["request_id"] == "mine"
    assert "swordfish" not in str(failure) + str(status)


@pytest.mark.parametrize("kind", ["stream"])
async def test_an_error_in_the_middle_comes_after_what_was_sent(edge: Edge, kind: str) -> None:
    async def act() -> None:
        raise OutOfMemory("full")

    edge.servicer.act, edge.servicer.replies_before = act, 2
    found = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for reply in edge.stub.StreamGenerate(STREAMED):
            found.append(reply.text.delta)
    assert found == ["ok", "ok"]
    assert type(from_rpc_error(caught.value, "x")) is OutOfMemory


# --- what is refused before the handler sees it


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_request_that_breaks_the_contract(edge: Edge, kind: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        if kind == "unary":
            await edge.stub.Generate(orchestrator_pb2.GenerateRequest())
        else:
            await edge.stub.StreamGenerate(orchestrator_pb2.StreamGenerateRequest()).read()
    error = from_rpc_error(caught.value, "x")
    assert (error.reason, caught.value.code()) == ("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT)
    assert [v.field for v in error.details.violations] == ["messages" if kind == "unary" else "request"]
    assert not edge.servicer.entered.is_set()


@kinds
@pytest.mark.parametrize(
    ("key", "value"),
    [("tandem-tenant", "a b"), ("tandem-request-id", "x" * 65), ("tandem-retries-left", "9")],
)
async def test_metadata_that_breaks_its_rule(edge: Edge, kind: str, key: str, value: str) -> None:
    failure, status = await failing(edge, kind, metadata=[(key, value)])
    assert info_of(status).reason == "INVALID_REQUEST"
    assert info_of(status).metadata["request_id"]
    assert [v.field for v in from_rpc_error(failure, "x").details.violations] == [key]
    assert not edge.servicer.entered.is_set()


@kinds
async def test_without_its_key_nothing_is_let_in(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened(authenticator=Authenticator({digest("sesame"): "shop"})) as edge:
        for metadata in ([], [("authorization", "Bearer simsalabim")], [("tandem-tenant", "shop")]):
            failure, status = await failing(edge, kind, metadata=metadata)
            assert failure.code() is grpc.StatusCode.UNAUTHENTICATED
            assert info_of(status).reason == "UNKNOWN_API_KEY"
            assert "simsalabim" not in str(failure) + str(status)
        assert not edge.servicer.entered.is_set()
        await getattr(edge, kind)(metadata=[("authorization", "Bearer sesame")])
        assert edge.servicer.calls[0].tenant == "shop"
    logged = "".join(capsys.readouterr())
    assert "UNKNOWN_API_KEY" in logged
    assert "simsalabim" not in logged
    assert "sesame" not in logged


async def test_who_will_send_many_messages_learns_first_that_it_may(edge: Edge) -> None:
    edge.servicer.act = edge.servicer.hang
    call = edge.stub.BatchGenerate(_nothing(), metadata=[("tandem-request-id", "mine")])
    async with asyncio.timeout(10):
        assert dict(await call.initial_metadata())["tandem-request-id"] == "mine"
    call.cancel()


async def test_bytes_without_a_key_are_not_even_called_unreadable() -> None:
    async with opened(authenticator=Authenticator({})) as edge:
        channel: Any = edge.served.channel
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/tandem.v1.OrchestratorService/Generate")(b"\xff\xff")
        assert from_rpc_error(caught.value, "x").reason == "UNKNOWN_API_KEY"


@kinds
async def test_bytes_that_are_no_message(edge: Edge, kind: str) -> None:
    path = {"unary": "Generate", "stream": "StreamGenerate", "both_ways": "BatchGenerate"}[kind]
    method = f"/tandem.v1.OrchestratorService/{path}"
    channel: Any = edge.served.channel
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        if kind == "unary":
            await channel.unary_unary(method)(b"\xff\xff")
        elif kind == "stream":
            await channel.unary_stream(method)(b"\xff\xff").read()
        else:
            await channel.stream_stream(method)(iter([b"\xff\xff"])).read()
    assert from_rpc_error(caught.value, "x").reason == "INVALID_REQUEST"


async def test_a_method_that_does_not_exist(edge: Edge) -> None:
    channel: Any = edge.served.channel
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary("/tandem.v1.OrchestratorService/Nothing")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


# --- the call that the handler sees


@kinds
async def test_the_handler_sees_the_call(edge: Edge, kind: str) -> None:
    metadata = [("tandem-tenant", "shop"), ("tandem-request-id", "one"), ("tandem-retries-left", "3")]
    await getattr(edge, kind)(metadata=metadata, timeout=5)
    (call,) = edge.servicer.calls
    assert (call.tenant, call.request_id, call.retries_left) == ("shop", "one", 3)
    assert call.deadline - call.started == pytest.approx(5, abs=0.5)


async def test_calls_at_the_same_time_do_not_mix(edge: Edge) -> None:
    edge.servicer.act = edge.servicer.wait
    names = [f"tenant-{number}" for number in range(20)]
    running = [asyncio.create_task(edge.unary(metadata=[("tandem-tenant", name)])) for name in names]
    while len(edge.servicer.calls) < 20:
        await edge.servicer.entered.wait()
        await asyncio.sleep(0)
    edge.servicer.release.set()
    await asyncio.gather(*running)
    assert sorted(call.tenant for call in edge.servicer.calls) == sorted(names)


# --- deadlines


@pytest.mark.parametrize(("granted", "seconds"), [(None, 30), (1000, 60), (5, 5)])
async def test_the_deadline_has_a_default_and_a_most(
    edge: Edge, granted: float | None, seconds: float
) -> None:
    await edge.unary(timeout=granted)
    (call,) = edge.servicer.calls
    assert call.deadline - call.started == pytest.approx(seconds, abs=0.5)


@kinds
async def test_the_default_deadline_ends_a_handler_that_hangs(kind: str) -> None:
    async with opened(rule=DeadlineRule(0.05, 1)) as edge:
        edge.servicer.act = edge.servicer.hang
        failure, status = await failing(edge, kind)
        assert failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert info_of(status).reason == "DEADLINE_EXCEEDED"
        assert edge.servicer.left.is_set()


@kinds
async def test_the_most_ends_it_too(kind: str) -> None:
    async with opened(rule=DeadlineRule(0.01, 0.05)) as edge:
        edge.servicer.act = edge.servicer.hang
        _, status = await failing(edge, kind, timeout=20)
        assert info_of(status).reason == "DEADLINE_EXCEEDED"


@kinds
async def test_the_clients_deadline_ends_the_handler(edge: Edge, kind: str) -> None:
    edge.servicer.act = edge.servicer.hang
    failure, _ = await failing(edge, kind, timeout=0.1)
    assert type(from_rpc_error(failure, "x")).__name__ == "DeadlineExceeded"
    async with asyncio.timeout(5):
        await edge.servicer.left.wait()


async def test_a_client_that_never_reads_is_cut_off_by_the_deadline() -> None:
    async with opened(rule=DeadlineRule(0.3, 1)) as edge:
        edge.servicer.replies_before = 10**9
        rpc = edge.stub.StreamGenerate(STREAMED)
        async with asyncio.timeout(10):
            await edge.servicer.left.wait()
        rpc.cancel()


# --- cancelling


@kinds
async def test_a_client_that_goes_away_cancels_the_handler(edge: Edge, kind: str) -> None:
    edge.servicer.act = edge.servicer.hang
    running = asyncio.create_task(getattr(edge, kind)())
    await edge.servicer.entered.wait()
    running.cancel()
    async with asyncio.timeout(5):
        await edge.servicer.left.wait()
    with pytest.raises(asyncio.CancelledError):
        await running


# --- draining


@kinds
async def test_draining_refuses_new_calls_and_finishes_running_ones(edge: Edge, kind: str) -> None:
    edge.servicer.act = edge.servicer.wait
    running = asyncio.create_task(getattr(edge, kind)())
    await edge.servicer.entered.wait()
    draining = asyncio.create_task(edge.served.server.drain())
    while not edge.served.server._edge.draining:
        await asyncio.sleep(0)
    failure, status = await failing(edge, kind)
    error = from_rpc_error(failure, "x")
    assert (type(error), failure.code()) == (Draining, grpc.StatusCode.UNAVAILABLE)
    assert ("tandem-reason", "DRAINING") in list(failure.trailing_metadata() or ()), "for proxies"
    assert error.details.retry_after_seconds is not None
    assert info_of(status).reason == "DRAINING"
    assert not draining.done()
    edge.servicer.release.set()
    await running
    await draining


def test_an_internal_error_is_what_clients_see_of_defects() -> None:
    assert TABLE[InternalError][1] == "INTERNAL"
