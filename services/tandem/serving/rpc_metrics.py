"""Counts and times the calls that enter a service, and what becomes of their spans."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tandem.call import Call
from tandem.errors import TandemError
from tandem.serving.server import Server
from tandem.telemetry import metric_names as names
from tandem.telemetry.measures import Facts, counter, gauge, sampled_trace


class RpcMetrics(Collector):
    """The calls that enter through a server; satisfies `RpcObserver`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._methods: dict[str, tuple[str, str]] = {}
        self._calls = Facts(("grpc_service", "grpc_method", "grpc_code"), names.SECONDS)
        server.watch(self)

    def ended(self, method: str, call: Call, error: TandemError | None) -> None:
        """See a call at its end."""
        parts = self._methods.get(method)
        if parts is None:
            service, _, name = method.removeprefix("/").partition("/")
            parts = self._methods[method] = (service, name)
        code = error.code.name if error else "OK"
        self._calls.note((*parts, code), call.elapsed_ms() / 1000.0, sampled_trace(call.traceparent))

    def collect(self) -> Iterator[Family]:
        """Tell all of it."""
        yield self._calls.counts(names.RPC_HANDLED)
        yield self._calls.distribution(names.RPC_SECONDS)
        yield gauge(names.RPC_IN_FLIGHT, {(): self._server.in_flight})
        if self._server.tracing is not None:
            yield counter(names.SPANS, {(): self._server.tracing.exported})
            yield counter(names.SPANS_DROPPED, {(): self._server.tracing.dropped})
