"""Asks a Triton for its state over gRPC and tells it to load models again."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

import grpc.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

CHECK_SECONDS: Final = 5.0
"""Longest wait for an answer to one check; long, because models may keep all cores busy."""


class TritonControl:
    """Triton's health and model control, over one channel."""

    def __init__(self, address: str) -> None:
        # A Triton that is just starting refuses connections: try again at once, not after gRPC's long default pauses.
        options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def ready(self) -> bool:
        """Return whether the server says that it is ready; False also if it does not answer."""
        try:
            answer = await self._stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=CHECK_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.ready)

    async def model_ready(self, model: str) -> bool | None:
        """Return whether the model is ready; None if the server does not answer."""
        try:
            answer = await self._stub.ModelReady(
                service_pb2.ModelReadyRequest(name=model), timeout=CHECK_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            return (
                None
                if error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
                else False
            )
        return bool(answer.ready)

    async def reload(self, model: str, seconds: float) -> str:
        """Unload a model and load it again; return why that failed, or an empty text.

        Loading alone would leave a dead model process as it is.
        """
        unload = service_pb2.RepositoryModelUnloadRequest(model_name=model)
        load = service_pb2.RepositoryModelLoadRequest(model_name=model)
        try:
            await self._stub.RepositoryModelUnload(unload, timeout=seconds)
            await self._stub.RepositoryModelLoad(load, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            return error.details() or error.code().name
        return ""


async def serves_metrics(host: str, port: int) -> bool:
    """Return whether a Triton, and not another program, serves metrics at that port."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                return b"nv_" in await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
