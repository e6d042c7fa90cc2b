"""Tracing into memory, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from tandem.client import Client
from tandem.orchestrator.servicer import OrchestratorServicer
from tandem.orchestrator.tracing import RequestTracing
from tandem.telemetry.names import Attribute, SpanEvent, SpanName
from tandem.telemetry.settings import TracingSettings
from tandem.telemetry.tracing import Tracing
from tandem.v1 import orchestrator_pb2_grpc
from tests.fakes.collector import told
from tests.fakes.listening import listening
from tests.fakes.world import World

GENERATE = "tandem.v1.OrchestratorService/Generate"
STREAM = "tandem.v1.OrchestratorService/StreamGenerate"


class Memory:
    """An exporter that reads what it is to send, as a collector would."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, request: bytes) -> bool:
        """Read the spans of a request."""
        read = ExportTraceServiceRequest.FromString(request)
        parts = (scoped for part in read.resource_spans for scoped in part.scope_spans)
        self.spans.extend(readable(span) for scoped in parts for span in scoped.spans)
        return True

    def shutdown(self) -> None:
        """Do nothing."""


def readable(span: trace_pb2.Span) -> ReadableSpan:
    """Return a span as OpenTelemetry's SDK has them."""
    remote = bool(span.flags & trace_pb2.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
    parent = _context(span.trace_id, span.parent_span_id, "", remote=remote) if span.parent_span_id else None
    return ReadableSpan(
        span.name,
        _context(span.trace_id, span.span_id, span.trace_state),
        parent,
        attributes=told(span.attributes),
        events=[Event(each.name, told(each.attributes), each.time_unix_nano) for each in span.events],
        links=[Link(_context(each.trace_id, each.span_id, ""), told(each.attributes)) for each in span.links],
        kind=SpanKind(span.kind - 1),
        status=Status(StatusCode(span.status.code)),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
    )


def _context(trace_id: bytes, span_id: bytes, state: str, *, remote: bool = False) -> SpanContext:
    return SpanContext(
        int.from_bytes(trace_id, "big"),
        int.from_bytes(span_id, "big"),
        is_remote=remote,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=TraceState.from_header([state]),
    )


class MemoryTracing:
    """A tracing whose spans stay in memory.

    Args:
        settings: variables of OpenTelemetry in place of the environment's, in small letters.
    """

    def __init__(self, **settings: Any) -> None:
        self._memory = Memory()
        self.tracing = Tracing("test", TracingSettings(**settings), self._memory)

    def end(self) -> Spans:
        """End the tracing and return its spans."""
        self.tracing.close()
        found = tuple(self._memory.spans)
        check_names((span.name, span.attributes, span.events) for span in found)
        return Spans(found)


class Spans:
    """Spans of one trace."""

    def __init__(self, spans: Sequence[ReadableSpan]) -> None:
        self.all = spans

    def tree(self) -> list[str]:
        """Return the names, each with two spaces for every span above it, in the order of their starts."""
        known = {span.context.span_id for span in self.all if span.context}

        def below(parent: int | None) -> list[str]:
            lines: list[str] = []
            for span in sorted(self.all, key=lambda each: (each.start_time or 0, -(each.end_time or 0))):
                above = span.parent.span_id if span.parent and span.parent.span_id in known else None
                if above == parent and span.context:
                    lines.append(span.name)
                    lines.extend(f"  {line}" for line in below(span.context.span_id))
            return lines

        return below(None)

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name, in the order of their starts."""
        found = [span for span in self.all if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        """Return the only span of a name."""
        (found,) = self.named(name)
        return found


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    """Return the attributes of a span."""
    return span.attributes or {}


def milliseconds(span: ReadableSpan) -> float:
    """Return how long a span lasted."""
    return ((span.end_time or 0) - (span.start_time or 0)) / 1e6


def check_names(spans: Iterable[tuple[str, Mapping[str, Any] | None, Sequence[Any]]]) -> None:
    """Check that the registry has every name; spans are names, attributes and events."""
    known = _values(Attribute)
    for name, given, events in spans:
        assert name.split()[0] in _values(SpanName) or name.startswith("tandem.v1."), name
        assert set(given or {}) <= known, set(given or {}) - known
        for event in events:
            assert event.name in _values(SpanEvent), event.name


def _values(registry: type) -> set[str]:
    return {value for name, value in vars(registry).items() if name.isupper()}


@dataclass
class Traced:
    """A world that answers over gRPC and traces."""

    client: Client
    address: str
    memory: MemoryTracing
    spans: Spans = field(default_factory=lambda: Spans(()))
    """What came of it, once the context has ended."""


@asynccontextmanager
async def traced(world: World, **settings: Any) -> AsyncIterator[Traced]:
    """Serve the orchestrator of a world while the context is open."""
    memory = MemoryTracing(**settings)
    content = world.orchestrator.workshop.policy.telemetry.content
    world.orchestrator._bookkeeper.watch(RequestTracing(memory.tracing, lambda: content))

    def add(server: Any) -> None:
        orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(
            OrchestratorServicer(world.orchestrator), server
        )

    async with listening(add, trace=memory.tracing) as running:
        made = Traced(Client(running.target), running.target, memory)
        async with made.client:
            yield made
        # What a client that left has started is still being closed.
        await asyncio.wait_for(running.server._edge.wait_idle(), 5)
        await world.orchestrator._bookkeeper.drain()
    made.spans = memory.end()
