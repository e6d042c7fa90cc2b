"""`/metrics` for Prometheus: a small HTTP server in threads of its own, which reads the numbers in the event loop.

So nothing that a request touches needs a lock, and whoever asks badly or slowly holds up nobody: few are served at a
time, each for a few seconds at most.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tandem.serving.server import StartError
from tandem.telemetry import metric_names as names
from tandem.telemetry.logs import logger
from tandem.telemetry.measures import info

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

PATH: Final = "/metrics"
AT_ONCE: Final = 8
"""Connections that are served at a time; more are closed."""
ASK_SECONDS: Final = 5.0
"""Longest time between two bytes of a question, and of its answer."""
MOST_SECONDS: Final = 15.0
"""Longest time for a question and its answer: who sends a byte now and then would keep a place for ever."""
READ_SECONDS: Final = 5.0
"""Longest time that the event loop may take to get to the numbers."""

_log = logger("metrics")


class Metrics:
    """Everything that this process tells of itself."""

    def __init__(self) -> None:
        self.collectors: list[Collector] = []
        """Whom each scrape asks, in the event loop."""
        self.address = ""
        """Where they are served."""

    def add(self, *collectors: Collector) -> None:
        """Tell from now on what these tell, too."""
        self.collectors.extend(collectors)


@asynccontextmanager
async def exposed(address: str) -> AsyncIterator[Metrics | None]:
    """Serve metrics while the context is open; give what they are to be added to, None for an empty address.

    Raises:
        StartError: the address is taken or not valid.
    """
    if not address:
        yield None
        return
    metrics = Metrics()
    metrics.add(_Build())
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_InLoop(asyncio.get_running_loop(), metrics.collectors))
    server = _listening(address)
    server.set_app(_only_metrics(make_wsgi_app(registry)))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    _log.info("metrics", address=address, port=server.server_port)
    try:
        metrics.address = f"{address.rpartition(':')[0]}:{server.server_port}"
        yield metrics
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()


class _Build(Collector):
    """Tells which Tandem this is."""

    def collect(self) -> Iterator[Family]:
        """Tell the version."""
        yield info(names.BUILD, version("tandem"))


class _InLoop(Collector):
    """Lets other collectors collect in the event loop, where their numbers are changed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, collectors: list[Collector]) -> None:
        self._loop, self._collectors = loop, collectors

    def describe(self) -> Iterable[Family]:
        """Return nothing: at registration there is no need to look."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Tell what all of them tell."""
        found = asyncio.run_coroutine_threadsafe(self._collect(), self._loop)
        try:
            yield from found.result(READ_SECONDS)
        except BaseException:
            found.cancel()
            raise

    async def _collect(self) -> list[Family]:
        return [family for each in self._collectors for family in each.collect()]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        self._places = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        end = threading.Timer(MOST_SECONDS, _cut, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: somebody left, or sent garbage."""

    def server_bind(self) -> None:
        # Without asking the name server for this machine's name, as its parents do.
        socket_address = self.server_address
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(socket_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = ASK_SECONDS
    server_version, sys_version = "Tandem", ""

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its parent calls it so
        """Say nothing: a scrape every few seconds is no news."""


def _cut(connection: socket.socket) -> None:
    """End a connection, whatever is still to come."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _listening(address: str) -> _Server:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        return (_Server6 if ":" in host else _Server)((host, int(port)), _Handler)
    except (OSError, ValueError, OverflowError) as error:
        raise StartError(f"cannot serve metrics on {address}: {error}; choose another address") from error


def _only_metrics(metrics: Any) -> Any:
    def serve(environ: WSGIEnvironment, respond: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            respond("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"Metrics are at {PATH}.\n".encode()]
        try:
            found: Iterable[bytes] = metrics(environ, respond)
        except Exception as error:  # noqa: BLE001 - whatever it is, the log has it and the next scrape may work
            _log.warning("the metrics cannot be read", error=repr(error))
            respond("503 Service Unavailable", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"The metrics cannot be read now; the service's log says why.\n"]
        return found

    return serve
