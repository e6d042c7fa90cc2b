"""A pool of warm Triton streams, each with one request at a time.

Opening a `ModelStreamInfer` for every request costs twice the time of using one that is open. Triton cancels a stream
as a whole, so with one request in each, cancelling a request ends just its own stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import grpc.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tandem.errors import BackendUnavailable
from tandem.serving.lasting_channel import LastingChannel

IDLE_STREAMS: Final = 64
"""Open streams that wait for a request; more are closed after use."""
IDLE_SECONDS: Final = 10.0
"""A stream that nobody used for so long is closed: a Triton that is told to end waits for every open one."""

Stream: TypeAlias = "grpc.aio.StreamStreamCall[Any, Any]"


class Exchange:
    """One request and its responses on one stream, which is lent while the context is open.

    Unless it is finished at the end, the stream and its request are cancelled.

    Raises:
        BackendUnavailable: Triton cannot be reached or went away.
    """

    def __init__(
        self, stream: Stream, channel: grpc.aio.Channel, give_back: Callable[[Stream, grpc.aio.Channel], None]
    ) -> None:
        self.stream = stream
        self._channel = channel
        self._give_back = give_back
        self.finished = False
        """Set by the user after the final response: the stream may serve another request."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.finished:
            self._give_back(self.stream, self._channel)
        else:
            self.stream.cancel()
        if isinstance(error, grpc.aio.AioRpcError):
            raise BackendUnavailable(
                f"Triton is not reachable: {error.details() or error.code().name}"
            ) from error
        if isinstance(error, grpc.aio.UsageError | grpc.aio.InternalError):
            raise BackendUnavailable(f"the stream to Triton broke: {error}") from error

    async def send(self, request: service_pb2.ModelInferRequest) -> None:
        """Send the request."""
        await self.stream.write(request)

    async def receive(self) -> service_pb2.ModelStreamInferResponse:
        """Return the next response.

        Raises:
            BackendUnavailable: Triton closed the stream.
        """
        response = await self.stream.read()
        if response is grpc.aio.EOF:
            raise BackendUnavailable(
                f"Triton closed the stream: {await self.stream.details() or 'no reason given'}"
            )
        return response


class StreamPool:
    """Streams to one Triton server, or to several in turn.

    Those of a channel that was replaced are not used again: it may have been because there are more Tritons, and
    streams that stay warm would leave these without work.
    """

    def __init__(self, channel: LastingChannel) -> None:
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._channel = channel
        # Each with the loop's time when it became idle and the channel that it is on, oldest first.
        self._idle: deque[tuple[float, Stream, grpc.aio.Channel]] = deque()
        self._sweep: asyncio.TimerHandle | None = None

    def exchange(self, *, fresh: bool = False) -> Exchange:
        """Lend a stream; a `fresh` one is opened for it, which of several Tritons the next one gets."""
        stream = self._open() if fresh else self._take()
        return Exchange(stream, self._channel.now, self._keep)

    def _take(self) -> Stream:
        while self._idle:
            _, stream, channel = self._idle.pop()
            if channel is not self._channel.now:
                stream.cancel()
            elif not stream.done():
                return stream
        return self._open()

    def _open(self) -> Stream:
        opened: Stream = self._stub.ModelStreamInfer()
        return opened

    def _keep(self, stream: Stream, channel: grpc.aio.Channel) -> None:
        if channel is not self._channel.now or len(self._idle) >= IDLE_STREAMS:
            stream.cancel()
            return
        loop = asyncio.get_running_loop()
        self._idle.append((loop.time(), stream, channel))
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_SECONDS, self._close_old)

    def _close_old(self) -> None:
        """Cancel the streams that have been idle for too long; look again when the next one will have been."""
        loop = asyncio.get_running_loop()
        while self._idle and self._idle[0][0] + IDLE_SECONDS <= loop.time():
            self._idle.popleft()[1].cancel()
        self._sweep = loop.call_at(self._idle[0][0] + IDLE_SECONDS, self._close_old) if self._idle else None

    def close(self) -> None:
        """Cancel the idle streams."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        while self._idle:
            self._idle.pop()[1].cancel()
