"""Spans of the calls that arrive at a service: one for each, made when it has ended."""

from __future__ import annotations

from tandem.call import Call
from tandem.clock import now
from tandem.errors import FAULTS, TandemError
from tandem.telemetry.names import Attribute
from tandem.telemetry.spans import SERVER, Attributes
from tandem.telemetry.trace import Trace
from tandem.telemetry.tracing import Tracing

FAILED = "failed"


class RpcSpans:
    """Tells tracing of the calls that end; satisfies `tandem.serving.edge.RpcObserver`."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def ended(self, method: str, call: Call, error: TandemError | None) -> None:
        """Hand over the spans of a call, if they are kept."""
        # A call whose metadata could not be read has no place in a trace yet.
        trace = call.trace or self._tracing.begin(call.traceparent, call.tracestate)
        if trace is None:
            return
        if error is not None and error.reason in FAULTS:
            trace.keep_for(FAILED)
        trace.handed = True
        if trace.kept:
            if trace.story is not None:
                trace.story.hold()
            self._tracing.put(_Served(self._tracing, trace, method.lstrip("/"), call, error))


class _Served:
    """A call that has ended; satisfies `tandem.telemetry.exporting.Told`."""

    __slots__ = (
        "_code",
        "_ended",
        "_method",
        "_reason",
        "_request_id",
        "_started",
        "_trace",
        "_tracing",
        "count",
        "size",
    )

    def __init__(
        self, tracing: Tracing, trace: Trace, method: str, call: Call, error: TandemError | None
    ) -> None:
        self._tracing, self._trace, self._method = tracing, trace, method
        self._code, self._reason = (error.code.name, error.reason) if error else ("OK", "")
        self._request_id, self._started, self._ended = call.request_id, call.started, now()
        story = trace.story
        self.count = 1 + story.count if story else 1
        """How many spans it has."""
        self.size = story.size if story else 0
        """About how many bytes of memory it holds."""

    def spans(self) -> list[bytes]:
        """Make its spans."""
        trace, story = self._trace, self._trace.story
        spans = self._tracing.maker.of(trace)
        attributes: Attributes = story.attributes() if story else {}
        attributes[Attribute.RPC_SYSTEM] = "grpc"
        attributes[Attribute.RPC_METHOD] = self._method
        attributes[Attribute.RPC_STATUS] = self._code
        attributes[Attribute.REQUEST_ID] = self._request_id
        if trace.keep:
            attributes[Attribute.KEEP] = trace.keep
        served = spans.span(
            self._method,
            0,
            (self._started, self._ended),
            attributes,
            kind=SERVER,
            error=self._reason,
            fault=self._reason in FAULTS,
            events=story.events(spans) if story else (),
        )
        return [served, *(story.children(spans) if story else ())]
