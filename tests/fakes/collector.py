"""A real OTLP receiver: takes spans over gRPC, remembers them, and can be slow or refuse."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any, Final

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

WAIT_SECONDS: Final = 20.0


class Received:
    """A span as the receiver got it."""

    def __init__(self, service: str, span: Span) -> None:
        self.service = service
        self.span = span
        self.name = span.name
        self.trace_id = span.trace_id.hex()
        self.span_id = span.span_id.hex()
        self.parent_id = span.parent_span_id.hex()
        self.attributes = told(span.attributes)
        self.milliseconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6

    @property
    def error(self) -> bool:
        """Whether its status is that of an error."""
        return self.span.status.code == self.span.status.STATUS_CODE_ERROR


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Remembers what it is sent."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.delay_seconds = 0.0
        """How long it takes to answer."""
        self.refuses = False
        """Whether it answers with an error."""
        self.metadata: list[tuple[str, str]] = []
        self._spans: list[Received] = []
        self._arrived = threading.Condition(threading.RLock())

    def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Take spans."""
        time.sleep(self.delay_seconds)
        if self.refuses:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not today")
        with self._arrived:
            self.metadata = [(key, str(value)) for key, value in context.invocation_metadata()]
            for part in request.resource_spans:
                names = told(part.resource.attributes)
                for scoped in part.scope_spans:
                    self._spans.extend(Received(names["service.name"], span) for span in scoped.spans)
            self._arrived.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def of(self, trace_id: str) -> list[Received]:
        """Return the spans of a trace that have arrived."""
        with self._arrived:
            return [span for span in self._spans if span.trace_id == trace_id]

    def wait(self, trace_id: str, enough: Callable[[list[Received]], bool]) -> list[Received]:
        """Return the spans of a trace when those that have arrived are enough, or take too long."""
        end = time.monotonic() + WAIT_SECONDS
        with self._arrived:
            while not enough(self.of(trace_id)) and self._arrived.wait(end - time.monotonic()):
                pass
            return self.of(trace_id)


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a receiver on a free port while the context is open."""
    taking = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(taking, server)  # type: ignore[no-untyped-call]  # generated
    taking.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield taking
    finally:
        server.stop(None).wait()


def picture(spans: list[Received]) -> list[str]:
    """Return service and name of spans, each with two spaces for every span above it, in the order of their starts."""
    known = {span.span_id for span in spans}

    def below(parent: str) -> list[str]:
        lines: list[str] = []
        for span in sorted(spans, key=lambda each: (each.span.start_time_unix_nano, each.name)):
            above = span.parent_id if span.parent_id in known else ""
            if above == parent:
                lines.append(f"{span.service}: {span.name}")
                lines.extend(f"  {line}" for line in below(span.span_id))
        return lines

    return below("")


def told(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    """Return what attributes say."""
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
