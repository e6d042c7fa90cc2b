"""A Tandem server on a free port, and a channel to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import grpc.aio

from tandem.serving.authentication import Authenticator
from tandem.serving.clients import Callee, open_channel
from tandem.serving.context import DeadlineRule
from tandem.serving.server import Listen, Server
from tandem.telemetry.tracing import Tracing

ORCHESTRATOR = "tandem.v1.OrchestratorService"
RULE = DeadlineRule(default_seconds=30, max_seconds=60)


@dataclass
class Listening:
    """A server that has started."""

    server: Server
    channel: grpc.aio.Channel

    @property
    def target(self) -> str:
        """Its address."""
        return f"127.0.0.1:{self.server.port}"


@contextlib.asynccontextmanager
async def listening(
    add: Callable[[grpc.aio.Server], None],
    *,
    rule: DeadlineRule = RULE,
    drain_seconds: float = 5.0,
    services: tuple[str, ...] = (ORCHESTRATOR,),
    authenticator: Authenticator | None = None,
    trace: Tracing | None = None,
) -> AsyncIterator[Listening]:
    """Serve what `add` adds."""
    server = Server(Listen("127.0.0.1:0", drain_seconds), rule, services, authenticator)
    server.trace(trace)
    add(server.grpc)
    await server.start()
    # What the server says is wanted, not what a client makes of its health.
    async with open_channel(f"127.0.0.1:{server.port}", callee=Callee.FOREIGN) as channel:
        yield Listening(server, channel)
    await server.grpc.stop(None)
