"""The standard gRPC health service.

The published implementation for asyncio deafens all watchers of a service when one of them leaves.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]
Response = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """Tells the health of the server, whose name is empty, and of its services."""

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {}
        self._stopping = self._over = False
        self._changed = asyncio.Event()
        self._watching: Counter[tuple[str, str]] = Counter()

    @property
    def watchers(self) -> int:
        """Calls that are told of every change."""
        return self._watching.total()

    def watched_by(self, service: str) -> int:
        """Return how many processes watch a service, by what their user agents say; one may do so more than once."""
        return len({agent for name, agent in self._watching if name == service})

    def set(self, serving: Mapping[str, bool]) -> None:
        """Set the health of the named services; changes nothing after `stop`."""
        if not self._stopping:
            self._serving.update(serving)
            self._tell()

    def stop(self) -> None:
        """Say of everything, for good, that it does not serve."""
        self._stopping = True
        self._serving = dict.fromkeys(self._serving, False)
        self._tell()

    def end(self) -> None:
        """Let all watchers go; the server is about to be gone."""
        self._over = True
        self._tell()

    async def Check(  # noqa: N802 - named by the contract
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> Response:
        """Tell the health of one service."""
        if request.service not in self._serving:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service!r} here")
        return Response(status=self._status(request.service))

    async def Watch(  # noqa: N802 - named by the contract
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncGenerator[Response, None]:
        """Tell the health of one service now and whenever it changes."""
        told: int | None = None
        metadata = dict(context.invocation_metadata() or ())
        watcher = (request.service, str(metadata.get("user-agent", "")))
        self._watching[watcher] += 1
        try:
            while not self._over:
                changed = self._changed
                status = self._status(request.service)
                if status != told:
                    told = status
                    yield Response(status=status)
                else:
                    await changed.wait()
        finally:
            self._watching[watcher] -= 1
            self._watching += Counter()  # which drops those that are nought

    def _status(self, service: str) -> int:
        if service not in self._serving:
            return Response.SERVICE_UNKNOWN
        return Response.SERVING if self._serving[service] else Response.NOT_SERVING

    def _tell(self) -> None:
        """Wake all watchers; those that come later wait for the next change."""
        self._changed.set()
        self._changed = asyncio.Event()
