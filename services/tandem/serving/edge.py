"""The one place where an RPC enters a service: context, validation, deadline, errors, access log, in-flight count.

Two helpers hold all of it: `_unary` for RPCs that answer in one message, `_stream` for those that answer in many; what
both do around the body is `_Rpc`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Protocol, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from tandem.call import Call
from tandem.clock import now
from tandem.errors import (
    Cancelled,
    DeadlineExceeded,
    Details,
    Draining,
    InternalError,
    InvalidRequest,
    TandemError,
)
from tandem.serving.authentication import Authenticator
from tandem.serving.context import REQUEST_ID, DeadlineRule, anonymous_call, enter, read_call
from tandem.serving.envelope import Envelope
from tandem.serving.status import abort
from tandem.serving.validation import validate
from tandem.telemetry.logs import logger
from tandem.telemetry.request_line import tell_of_request
from tandem.telemetry.trace import Begin

Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_log = logger("edge")


class RpcObserver(Protocol):
    """Wants to know of calls that end: it never waits and never raises."""

    def ended(self, method: str, call: Call, error: TandemError | None) -> None:
        """See a call at its end; None: it was answered."""


class Edge(grpc.aio.ServerInterceptor):
    """Wraps every RPC of Tandem's own services; health, reflection and channelz pass untouched.

    Args:
        deadline: how long a request may take.
        authenticator: says who sends a request; None: whoever calls is trusted, as between Tandem's services.
    """

    def __init__(self, deadline: DeadlineRule, authenticator: Authenticator | None = None) -> None:
        self.deadline = deadline
        """How long a request may take that comes now; may be replaced at any time."""
        self.authenticator = authenticator
        """Says who sends a request."""
        self._observers: list[RpcObserver] = []
        self._wrapped: dict[str, Handler] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.in_flight = 0
        self.draining = False
        self.refused_at = -math.inf
        """When a call was last refused because the service drains."""
        self.begin: Begin | None = None
        """Gives requests their place in a trace; None: nothing is traced."""

    def watch(self, observer: RpcObserver) -> None:
        """Tell `observer` too of the calls that end."""
        self._observers.append(observer)

    async def wait_idle(self) -> None:
        """Return when no RPC is in flight."""
        await self._idle.wait()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the wrapped handler of a method, made once."""
        method = handler_call_details.method
        if not method.startswith("/tandem."):
            return await continuation(handler_call_details)
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None:
                return handler
            self._wrapped[method] = self._wrap(handler, method)
        return self._wrapped[method]

    def _wrap(self, handler: Any, method: str) -> Handler:
        codec = (_lenient(handler.request_deserializer), _serialized)
        if handler.request_streaming:
            serve = handler.stream_stream
            checked = self._stream(lambda items, context: serve(_readable(items), context), method)
            return grpc.stream_stream_rpc_method_handler(checked, *codec)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream, method), *codec)
        return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, method), *codec)

    def _unary(
        self, behaviour: Callable[[Any, Context], Awaitable[Any]], method: str
    ) -> Callable[..., Awaitable[Any]]:
        async def handle(request: Message, context: Context) -> Any:
            async with _Rpc(self, method, request, context):
                return await behaviour(request, context)

        return handle

    def _stream(
        self, behaviour: Callable[[Any, Context], AsyncIterator[Any]], method: str
    ) -> Callable[..., Any]:
        async def handle(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            async with _Rpc(self, method, request, context):
                responses = behaviour(request, context)
                try:
                    async for response in responses:
                        yield response
                finally:
                    if isinstance(responses, AsyncGenerator):
                        await responses.aclose()

        return handle

    def admit(self, request: Any) -> None:
        """Refuse what a service that drains cannot take, and what breaks the contract."""
        if self.draining:
            self.refused_at = now()
            raise Draining("the service is shutting down; send the request to another replica", _RETRY_SOON)
        if request is _UNREADABLE:
            raise _unreadable()
        if isinstance(request, Message):
            validate(request)

    def ended(self, method: str, call: Call, error: TandemError | None) -> None:
        """Tell everybody who wants to know of a call that has ended."""
        tell_of_request(_log, method, call, error)
        for observer in self._observers:
            observer.ended(method, call, error)

    def enter(self) -> None:
        """Count a call that begins."""
        self.in_flight += 1
        self._idle.clear()

    def leave(self) -> None:
        """Count a call that has ended."""
        self.in_flight -= 1
        if self.in_flight == 0:
            self._idle.set()


class _Rpc:
    """One RPC as a context that is its body: an error that leaves it ends the RPC with a typed status."""

    __slots__ = ("_call", "_context", "_edge", "_late", "_method", "_request", "_task", "_timer")

    def __init__(self, edge: Edge, method: str, request: Any, context: Context) -> None:
        self._edge, self._method, self._request, self._context = edge, method, request, context
        self._call: Call | None = None
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._late = False

    async def __aenter__(self) -> None:
        edge, context = self._edge, self._context
        edge.enter()
        try:
            self._call = call = read_call(context, edge.deadline, edge.authenticator, edge.begin)
            enter(call)
            edge.admit(self._request)
            if not isinstance(self._request, Message):
                # The client may begin to send: had it written to a call that is refused, gRPC might hide from it why.
                await context.send_initial_metadata(((REQUEST_ID, call.request_id),))
        except BaseException as error:
            await self._end(error)
            raise
        # What `asyncio.timeout_at` does for every call, in a third of its instructions.
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_at(call.deadline, self._cancel)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        cancelled = isinstance(error, asyncio.CancelledError)
        if self._late and self._task is not None and self._task.uncancel() == 0 and cancelled:
            error = TimeoutError()
        await self._end(error)

    def _cancel(self) -> None:
        """End the body at the deadline."""
        if self._task is not None:
            self._late = True
            self._task.cancel()

    async def _end(self, error: BaseException | None) -> None:
        """Tell everybody, and end the RPC with a status if an error ended it."""
        self._edge.leave()
        call = self._call or anonymous_call(self._edge.deadline)
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._edge.ended(self._method, call, Cancelled("the client went away"))
        elif error is None:
            self._edge.ended(self._method, call, None)
        elif isinstance(error, Exception):
            failure = self._failure(error, call)
            self._edge.ended(self._method, call, failure)
            await abort(self._context, failure, call.request_id)

    def _failure(self, error: Exception, call: Call) -> TandemError:
        if isinstance(error, TandemError):
            return error
        if isinstance(error, TimeoutError):
            return DeadlineExceeded("the deadline passed before there was an answer; grant more time")
        # What it is stays in the log, the client learns that it is a defect.
        _log.exception("defect", method=self._method, request_id=call.request_id, exc_info=error)
        return InternalError("an unexpected error; the service's log has it under this request_id")


_RETRY_SOON = Details(retry_after_seconds=1.0)
_UNREADABLE: Final = object()
"""Stands for bytes that are no message."""


def _lenient(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return a parser that gives `_UNREADABLE` where gRPC itself would answer with a bare UNKNOWN."""

    def read(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            return _UNREADABLE

    return read


def _serialized(response: Message | Envelope) -> bytes:
    return response.SerializeToString()


async def _readable(items: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for item in items:
        if item is _UNREADABLE:
            raise _unreadable()
        yield item


def _unreadable() -> InvalidRequest:
    return InvalidRequest(
        "the bytes sent are no protobuf message of the rpc's type; use the published contract"
    )
