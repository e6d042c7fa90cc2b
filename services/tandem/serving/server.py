"""The life of a gRPC server: health, reflection, channelz, and a graceful drain on SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import grpc.aio
from grpc_channelz.v1 import channelz
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tandem.clock import now
from tandem.serving.authentication import Authenticator
from tandem.serving.context import DeadlineRule
from tandem.serving.edge import Edge, RpcObserver
from tandem.serving.health import Health
from tandem.serving.tls import Tls, server_credentials
from tandem.serving.validation import prepare
from tandem.telemetry.logs import logger
from tandem.telemetry.tracing import Tracing

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Largest message, as the contract states."""

MAX_PORT: Final = 65_535
_ADDRESS: Final = re.compile(r"unix:.+|.+:(?P<port>[0-9]{1,9})")

WAITING_CALLS: Final = 10_000
"""Calls that may wait until this process looks at them. Beyond gRPC's own 1000 it cancels some without a reason."""

LINGER_SECONDS: Final = 0.5
"""Time from the turn of health until calls are refused: so long may the news take to a client that watches."""

QUIET_SECONDS: Final = 0.3
"""Time without a call after which nobody sends any more."""
NOTICE_SECONDS: Final = 3.0
"""Longest time in which whoever still sends is told to go elsewhere."""

LEAVE_SECONDS: Final = 1.0
"""Longest time in which the last responses leave."""

LIVE: Final = "live"
"""Name in the health service of the process itself: it serves until it drains, whatever the others depend on."""

_log = logger("server")


class StartError(Exception):
    """The server cannot start."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server listens, how long it may drain, what it shows to clients, and where else its health is told.

    Without `tls` it speaks plaintext, without `health_address` health is told at `address` only.
    """

    address: str
    drain_seconds: float
    tls: Tls | None = None
    health_address: str = ""


class Server:
    """A gRPC server with everything that every Tandem service has.

    Add servicers through `grpc`, then `start`; health is NOT_SERVING until `set_health` says otherwise.

    Args:
        listen: where.
        deadline: how long a request may take.
        services: full names of the services that will be added.
        authenticator: says who sends a request; None: whoever calls is trusted.
    """

    def __init__(
        self,
        listen: Listen,
        deadline: DeadlineRule,
        services: Sequence[str],
        authenticator: Authenticator | None = None,
    ) -> None:
        self._listen = listen
        self._services = services
        self._edge = Edge(deadline, authenticator)
        self._health = Health()
        self.port = self.health_port = 0
        self.tracing: Tracing | None = None
        """Where spans of the calls go; None: nothing is traced."""
        self._probed = grpc.aio.server(options=[("grpc.so_reuseport", 0)]) if listen.health_address else None
        self.grpc = grpc.aio.server(
            interceptors=[self._edge],
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),
                ("grpc.server.max_pending_requests", WAITING_CALLS),
                ("grpc.server.max_pending_requests_hard_limit", 2 * WAITING_CALLS),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ],
        )
        # A method that is registered has a waiting call of its own, and the server looks through all of them twice a
        # request. The generic handlers, which generated code adds as well, share one.
        self.grpc.add_registered_method_handlers = _ignored  # type: ignore[assignment]

    def trace(self, tracing: Tracing | None) -> None:
        """Trace the calls that arrive; None: do not."""
        self.tracing = tracing
        if tracing is not None:
            from tandem.serving.tracing import RpcSpans  # noqa: PLC0415 - OpenTelemetry, for those who trace

            self._edge.begin = tracing.begin
            self.watch(RpcSpans(tracing))

    async def start(self) -> None:
        """Listen.

        Raises:
            StartError: the address is taken or not valid.
            TlsUnusable: the files of TLS are of no use.
        """
        for service in self._services:
            prepare(service)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        channelz.add_channelz_servicer(self.grpc)
        names = [*self._services, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], self.grpc)
        self.set_health({"": False, **dict.fromkeys(self._services, False), LIVE: True})
        self.port = self._bind(self.grpc, self._listen.address, self._listen.tls)
        await self.grpc.start()
        if self._probed:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._probed)
            self.health_port = self._bind(self._probed, self._listen.health_address)
            await self._probed.start()
        _log.info(
            "listening",
            address=self._listen.address,
            port=self.port,
            tls=self._listen.tls is not None,
            services=list(self._services),
        )

    @staticmethod
    def _bind(server: grpc.aio.Server, address: str, tls: Tls | None = None) -> int:
        found = _ADDRESS.fullmatch(address)
        if found is None or int(found["port"] or 0) > MAX_PORT:
            # gRPC would take port 443, or what is left of a number that is too large.
            raise StartError(f"cannot listen on {address}: write HOST:PORT, with a port from 0 to {MAX_PORT}")
        try:
            if tls is None:
                return server.add_insecure_port(address)
            return server.add_secure_port(address, server_credentials(tls))
        except RuntimeError as error:
            raise StartError(f"cannot listen on {address}: {error}; choose another address") from error

    def set_deadline(self, deadline: DeadlineRule) -> None:
        """Set how long a request may take that comes from now on."""
        self._edge.deadline = deadline

    def watch(self, observer: RpcObserver) -> None:
        """Tell `observer` of the calls that end."""
        self._edge.watch(observer)

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return self._edge.in_flight

    @property
    def callers(self) -> int:
        """Processes that have this one among the replicas they call: they watch whether it lives."""
        return self._health.watched_by(LIVE)

    def set_health(self, serving: Mapping[str, bool]) -> None:
        """Set the health of the named services; the empty name is the server as a whole."""
        self._health.set(serving)

    async def drain(self) -> None:
        """Stop: health turns first, running calls finish, new ones are refused with DRAINING.

        Whoever watches health goes elsewhere by itself, and what it has sent meanwhile is still taken.
        """
        self._health.stop()
        if self._health.watchers:
            await asyncio.sleep(LINGER_SECONDS)
        self._edge.draining = True
        _log.info("draining", in_flight=self._edge.in_flight)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._listen.drain_seconds):
                await self._edge.wait_idle()
                await self._quiet()
        left = self._edge.in_flight
        self._health.end()
        await self.grpc.stop(LEAVE_SECONDS)
        if self._probed:
            await self._probed.stop(None)
        _log.info("stopped", cut_off=left)

    async def _quiet(self) -> None:
        """Wait until nobody sends any more: what arrives while gRPC stops is cancelled, and is not told why."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NOTICE_SECONDS):
                left = self._edge.refused_at + QUIET_SECONDS - now()
                while left > 0:
                    await asyncio.sleep(left)
                    left = self._edge.refused_at + QUIET_SECONDS - now()


def _ignored(*_: object) -> None:
    """Register nothing."""


@contextlib.asynccontextmanager
async def stop_signal() -> AsyncIterator[asyncio.Event]:
    """Give an event that SIGTERM or SIGINT sets."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
