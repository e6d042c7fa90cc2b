"""Makes spans of what is known of something that has ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from tandem.clock import now
from tandem.telemetry.names import SCHEMA_URL, SCOPE, Attribute
from tandem.telemetry.trace import Trace

Attributes = dict[str, AttributeValue]

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_UNSET: Final = Status(StatusCode.UNSET)
_ERROR: Final = Status(StatusCode.ERROR)
NO_FAULT: Final = frozenset(("", "CANCELLED"))
"""Kinds of error that make no span one of an error: whoever leaves has reasons of their own."""


class TraceSpans:
    """Makes the spans of one request.

    Args:
        maker: what all spans of this process have in common.
        trace: the request's place in its trace.
    """

    def __init__(self, maker: SpanMaker, trace: Trace) -> None:
        self._maker = maker
        self._trace = trace
        self._trace_id = int(trace.trace_id, 16)
        self.root = self.context(0)
        """Context of the request's own span."""

    def context(self, slot: int) -> SpanContext:
        """Return the context of the span in a place."""
        return SpanContext(self._trace_id, self._trace.child(slot), is_remote=False, trace_flags=_SAMPLED)

    def caller(self) -> SpanContext | None:
        """Return the context of whoever called; None: the trace begins here."""
        parent = self._trace.parent_id
        if not parent:
            return None
        return SpanContext(
            self._trace_id, int(parent, 16), is_remote=self._trace.root is None, trace_flags=_SAMPLED
        )

    def event(self, name: str, at: float, attributes: Attributes) -> Event:
        """Return an event; `at` is on the clock of `tandem.clock.now()`."""
        return Event(name, attributes, self._maker.unix_ns(at))

    def link(self, slot: int, why: str) -> Link:
        """Return a link to the span in a place."""
        return Link(self.context(slot), {Attribute.LINK: why})

    def span(  # noqa: PLR0913 - what every span has
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        times: tuple[float, float],
        attributes: Attributes,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        error: str = "",
        fault: bool | None = None,
        events: Sequence[Event] = (),
        links: Sequence[Link] = (),
    ) -> ReadableSpan:
        """Return a span from one time to another, on the clock of `tandem.clock.now()`.

        `error` is the kind of error that ended it; `fault` says whether that makes it a span of an error, if the kind
        alone does not.
        """
        if error:
            attributes[Attribute.ERROR_TYPE] = error
        failed = error not in NO_FAULT if fault is None else fault
        maker = self._maker
        return ReadableSpan(
            name,
            context,
            parent,
            maker.resource,
            attributes,
            events,
            links,
            kind,
            status=_ERROR if failed else _UNSET,
            start_time=maker.unix_ns(times[0]),
            end_time=maker.unix_ns(times[1]),
            instrumentation_scope=maker.scope,
        )


class SpanMaker:
    """What all spans of a process have in common."""

    def __init__(self, resource: Resource, version: str) -> None:
        self.resource = resource
        self.scope = InstrumentationScope(SCOPE, version, SCHEMA_URL)
        self._offset_ns = 0
        self.set_clock()

    def set_clock(self) -> None:
        """Read again what time it is: the clock of requests does not know, and that of the machine may be set."""
        self._offset_ns = time.time_ns() - int(now() * 1e9)

    def unix_ns(self, moment: float) -> int:
        """Return a moment on the clock of `tandem.clock.now()` as nanoseconds since 1970."""
        return int(moment * 1e9) + self._offset_ns
