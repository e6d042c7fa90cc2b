"""Makes spans of what is known of something that has ended, as the bytes that OTLP has for them."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, SpanFlags, Status
from opentelemetry.sdk.resources import Resource

from tandem.clock import now
from tandem.telemetry.names import SCHEMA_URL, SCOPE, Attribute
from tandem.telemetry.trace import Trace
from tandem.telemetry.wire import (
    OF_EVENT,
    OF_LINK,
    OF_RESOURCE,
    AttributeBytes,
    Attributes,
    Value,
    framed,
    varint,
)

INTERNAL: Final = Span.SPAN_KIND_INTERNAL
SERVER: Final = Span.SPAN_KIND_SERVER
CLIENT: Final = Span.SPAN_KIND_CLIENT
NO_FAULT: Final = frozenset(("", "CANCELLED"))
"""Kinds of error that make no span one of an error: whoever leaves has reasons of their own."""

_LOCAL: Final = int(SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
_REMOTE: Final = _LOCAL | int(SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
# Fields of a span: identifiers are bytes in network order, times are numbers in the other.
_IDENTIFIER: Final = struct.Struct(">HQ")
_IDENTIFIERS: Final = struct.Struct(">HQHQ")
_TIMES: Final = struct.Struct("<BQBQ")
_TIME: Final = struct.Struct("<BQ")
_SPAN_ID: Final = 0x1208
_PARENT_ID: Final = 0x2208
_START: Final = 0x39
_END: Final = 0x41


class TraceSpans:
    """Makes the spans of one request. Their places are numbers; 0 is the request itself.

    Args:
        maker: what all spans of this process have in common.
        trace: the request's place in its trace.
    """

    def __init__(self, maker: SpanMaker, trace: Trace) -> None:
        self._maker = maker
        self._trace = trace
        self._trace_id = b"\x0a\x10" + bytes.fromhex(trace.trace_id)

    def event(self, name: str, at: float, attributes: Attributes) -> bytes:
        """Return an event; `at` is on the clock of `tandem.clock.now()`."""
        maker = self._maker
        told = maker.attributes.within(OF_EVENT, attributes)
        return framed(b"\x5a", _TIME.pack(0x09, maker.unix_ns(at)) + framed(b"\x12", name.encode()) + told)

    def link(self, slot: int, why: str) -> bytes:
        """Return a link to the span in a place."""
        told = self._maker.attributes.within(OF_LINK, {Attribute.LINK: why})
        identity = self._trace_id + _IDENTIFIER.pack(_SPAN_ID, self._trace.child(slot))
        return framed(b"\x6a", identity + told + _LINK_FLAGS)

    def span(  # noqa: PLR0913 - what every span has
        self,
        name: str,
        slot: int,
        times: tuple[float, float],
        attributes: Attributes,
        *,
        below: int = 0,
        kind: Span.SpanKind.ValueType = INTERNAL,
        error: str = "",
        fault: bool | None = None,
        events: Sequence[bytes] = (),
        links: Sequence[bytes] = (),
    ) -> bytes:
        """Return the span in a place, from one time to another, on the clock of `tandem.clock.now()`.

        It is below the span in another place; that of the request below its caller's. `error` is the kind of error that
        ended it; `fault` says whether that makes it a span of an error, if the kind alone does not.
        """
        if error:
            attributes[Attribute.ERROR_TYPE] = error
        failed = error not in NO_FAULT if fault is None else fault
        maker, trace = self._maker, self._trace
        parent = trace.child(below) if slot else trace.caller
        own = trace.child(slot)
        body = b"".join(
            (
                self._trace_id,
                _IDENTIFIERS.pack(_SPAN_ID, own, _PARENT_ID, parent)
                if parent
                else _IDENTIFIER.pack(_SPAN_ID, own),
                _TIMES.pack(_START, maker.unix_ns(times[0]), _END, maker.unix_ns(times[1])),
                maker.constant(name, kind, failed, bool(parent and not slot and trace.root is None)),
                *maker.attributes.of_span(attributes),
                *events,
                *links,
            )
        )
        return b"\x12" + varint(len(body)) + body


_LINK_FLAGS: Final = Span.Link(flags=_LOCAL).SerializeToString()


class SpanMaker:
    """What all spans of a process have in common. For one thread."""

    def __init__(self, resource: Resource, version: str) -> None:
        self.attributes = AttributeBytes()
        """Makes the bytes of their attributes."""
        told = framed(b"\x0a", self.attributes.within(OF_RESOURCE, _told(resource)))
        self._origin = told + ResourceSpans(schema_url=resource.schema_url).SerializeToString()
        scope = InstrumentationScope(name=SCOPE, version=version)
        self._scope = ScopeSpans(scope=scope, schema_url=SCHEMA_URL).SerializeToString()
        self._constants: dict[tuple[str, int, bool, bool], bytes] = {}
        self._offset_ns = 0
        self.set_clock()

    def set_clock(self) -> None:
        """Read again what time it is: the clock of requests does not know, and that of the machine may be set."""
        self._offset_ns = time.time_ns() - int(now() * 1e9)

    def unix_ns(self, moment: float) -> int:
        """Return a moment on the clock of `tandem.clock.now()` as nanoseconds since 1970."""
        return int(moment * 1e9) + self._offset_ns

    def constant(self, name: str, kind: Span.SpanKind.ValueType, failed: bool, remote: bool) -> bytes:
        """Return the fields that all spans of a name share; `remote`: their parent is in another process."""
        key = (name, kind, failed, remote)
        found = self._constants.get(key)
        if found is None:
            made = Span(name=name, kind=kind, flags=_REMOTE if remote else _LOCAL)
            if failed:
                made.status.code = Status.STATUS_CODE_ERROR
            found = self._constants[key] = made.SerializeToString()
        return found

    def request(self, spans: Sequence[bytes]) -> bytes:
        """Return the bytes of an `ExportTraceServiceRequest` that carries spans."""
        scoped = framed(b"\x12", b"".join((self._scope, *spans)))
        return framed(b"\x0a", self._origin + scoped)


def _told(resource: Resource) -> Attributes:
    return {
        key: value if isinstance(value, Value) else str(value) for key, value in resource.attributes.items()
    }
