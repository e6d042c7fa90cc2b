"""Makes spans of what is known of something that has ended, as the bytes that OTLP has for them.

OpenTelemetry's own objects would have to be made, made messages of, and written: that took seven times as long as the
bytes that `wire.pyx` writes at once. A test compares them with those of OpenTelemetry's own encoder.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from opentelemetry.sdk.resources import Resource

from tandem.clock import now
from tandem.telemetry.names import SCHEMA_URL, SCOPE
from tandem.telemetry.trace import Trace
from tandem.telemetry.wire import TraceSpans, Writer

Value: TypeAlias = str | bool | int | float | tuple[str, ...]
"""What an attribute may have."""
Attributes: TypeAlias = dict[str, Value]

SERVER: Final = Span.SPAN_KIND_SERVER
CLIENT: Final = Span.SPAN_KIND_CLIENT
READINGS: Final = 5
"""How often two clocks are compared: another thread may run between the readings, and the spans be off by its time."""
_OF_RESOURCE: Final = 0x0A
"""Tag of the attributes of a `Resource`."""


class SpanMaker:
    """What all spans of a process have in common. For one thread."""

    def __init__(self, resource: Resource, version: str) -> None:
        self.writer = Writer()
        """Writes them."""
        told = self.writer.attributes(_OF_RESOURCE, _told(resource))
        origin = ResourceSpans(schema_url=resource.schema_url)
        origin.resource.MergeFromString(told)
        self._origin = origin.SerializeToString()
        scope = InstrumentationScope(name=SCOPE, version=version)
        self._scope = ScopeSpans(scope=scope, schema_url=SCHEMA_URL).SerializeToString()
        self.set_clock()

    def set_clock(self) -> None:
        """Read again what time it is: the clock of requests does not know, and that of the machine may be set."""
        self.writer.offset_ns = min(_compared() for _ in range(READINGS))[1]

    def of(self, trace: Trace) -> TraceSpans:
        """Return what makes the spans of a request."""
        return TraceSpans(self.writer, trace)

    def request(self, spans: Sequence[bytes]) -> bytes:
        """Return the bytes of an `ExportTraceServiceRequest` that carries spans."""
        writer = self.writer
        return writer.framed(0x0A, (self._origin, writer.framed(0x12, (self._scope, *spans))))


def _compared() -> tuple[float, int]:
    """Return how long it took to read both clocks, and by how many nanoseconds they differ."""
    before, day, after = now(), time.time_ns(), now()
    return after - before, day - int((before + after) / 2.0 * 1e9)


def _told(resource: Resource) -> Attributes:
    return {
        key: value if isinstance(value, (str, bool, int, float)) else str(value)
        for key, value in resource.attributes.items()
    }
