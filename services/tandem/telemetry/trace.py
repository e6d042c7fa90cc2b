"""Where a request stands in a trace: W3C trace context, the identifiers of its spans, and whether they are kept.

Only identifiers are made while a request is answered. Its spans are made of what is known of it when it has ended
(docs/operations/tracing.md).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

from tandem.telemetry.wire import child, traceparent

if TYPE_CHECKING:
    from tandem.telemetry.spans import Attributes
    from tandem.telemetry.wire import TraceSpans

# W3C Trace Context: versions after 00 may carry more behind the flags, ff is no version, zeros are no identifier.
_TRACEPARENT: Final = re.compile(
    r"(?:00-(?=.{52}\Z)|(?!00|ff)[0-9a-f]{2}-)(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED: Final = 0x01
_IDENTIFIER: Final = (1 << 64) - 1


class Story(Protocol):
    """What is told of a request beside the call itself."""

    def hold(self) -> None:
        """Hold what the spans need, and let go of the rest: they will be made. Comes before all others."""

    @property
    def count(self) -> int:
        """How many spans `children` will return."""

    @property
    def size(self) -> int:
        """About how many bytes of memory are held until then."""

    def attributes(self) -> Attributes:
        """Return what the span of the call says of the request."""

    def events(self, spans: TraceSpans) -> Sequence[bytes]:
        """Return what happened in it."""

    def children(self, spans: TraceSpans) -> list[bytes]:
        """Return the spans below it."""


class Trace:
    """One request's place in a trace.

    Args:
        trace_id: of the trace, 32 hexadecimal digits.
        parent_id: span of the caller, 16 hexadecimal digits; empty: the trace begins here.
        sampled: whether its spans are kept, whatever happens.
        root: the call that the request is a part of; None: it is all that the call asks for.
        state: the caller's `tracestate`, what others know of the trace; is passed on as it is.
    """

    __slots__ = ("handed", "keep", "parent_id", "root", "sampled", "span_id", "state", "story", "trace_id")

    def __init__(
        self, trace_id: str, parent_id: str, *, sampled: bool, root: Trace | None = None, state: str = ""
    ) -> None:
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.sampled = sampled
        self.root = root
        self.state = state
        self.span_id = random.getrandbits(64) or 1
        self.keep = ""
        """Why its spans are kept although it is not sampled. Empty: no reason yet."""
        self.story: Story | None = None
        """What is told of it; None: nothing but the call."""
        self.handed = False
        """Whether its spans were handed over: what comes later is told apart."""

    def child(self, slot: int) -> int:
        """Return the identifier of the span that a place in the request has; 0 is the request itself."""
        return child(self.span_id, slot)

    def traceparent(self, slot: int = 0) -> str:
        """Return the context as the span of a place passes it on."""
        return traceparent(self.trace_id, self.span_id, slot, self.sampled)

    def branch(self) -> Trace:
        """Return the place of a request within this one."""
        parent_id = f"{self.span_id:016x}"
        return Trace(self.trace_id, parent_id, sampled=self.sampled, root=self, state=self.state)

    @property
    def kept(self) -> bool:
        """Whether its spans are kept, as far as is known now."""
        return self.sampled or bool(self.keep)

    def keep_for(self, why: str) -> None:
        """Keep its spans, and that of the call which it is a part of."""
        self.keep = self.keep or why
        if self.root is not None:
            self.root.keep_for(why)


@dataclass(frozen=True, slots=True)
class Parent:
    """What a caller's `traceparent` says."""

    trace_id: str
    span_id: str
    sampled: bool


def parse(traceparent: str) -> Parent | None:
    """Return what a value of `traceparent` says; None: it is absent or not valid."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    trace_id, span_id, flags = found.groups()
    return Parent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def trace_id_of(traceparent: str) -> str:
    """Return the identifier of the trace in a value of `traceparent`; empty if there is none."""
    parent = parse(traceparent)
    return parent.trace_id if parent else ""


@dataclass(frozen=True)
class Sampling:
    """Which traces are kept whatever happens in them."""

    ratio: float = 1.0
    """Part of the traces that begin here, 0 to 1."""
    follows_parent: bool = True
    """Whether a caller's decision counts."""

    @cached_property
    def _bound(self) -> int:
        return round(self.ratio * (_IDENTIFIER + 1))

    def decide(self, trace_id: int, parent: Parent | None) -> bool:
        """Return whether a trace is kept.

        The ratio counts as in OpenTelemetry's TraceIdRatioBased: services with the same ratio decide alike.
        """
        if parent is not None and self.follows_parent:
            return parent.sampled
        return trace_id & _IDENTIFIER < self._bound

    def begin(self, traceparent: str, tracestate: str = "", *, begins: bool) -> Trace | None:
        """Return the place of a request that arrives; None: it belongs to no trace, and none `begins` here.

        The state goes with the context: without one, or with one that is not valid, it means nothing.
        """
        parent = parse(traceparent) if traceparent else None
        if parent is not None:
            sampled = self.decide(int(parent.trace_id, 16), parent)
            return Trace(parent.trace_id, parent.span_id, sampled=sampled, state=tracestate)
        if not begins:
            return None
        trace_id = random.getrandbits(128) or 1
        return Trace(f"{trace_id:032x}", "", sampled=self.decide(trace_id, None))


Begin = Callable[[str, str], Trace | None]
"""Returns the place in a trace of a request that arrives with a `traceparent` and a `tracestate`."""
