# Types of `wire.pyx`, where the documentation is.

from collections.abc import Iterable, Sequence

from tandem.telemetry.spans import Attributes
from tandem.telemetry.trace import Trace

NO_FAULT: frozenset[str]

class Writer:
    offset_ns: int
    def unix_ns(self, moment: float) -> int: ...
    def attributes(self, tag: int, attributes: Attributes) -> bytes: ...
    def framed(self, tag: int, parts: Iterable[bytes]) -> bytes: ...

class TraceSpans:
    def __init__(self, writer: Writer, trace: Trace) -> None: ...
    def event(self, name: str, at: float, attributes: Attributes) -> bytes: ...
    def link(self, slot: int, why: str) -> bytes: ...
    def span(
        self,
        name: str,
        slot: int,
        times: tuple[float, float],
        attributes: Attributes,
        *,
        below: int = 0,
        kind: int = 1,
        error: str = "",
        fault: bool | None = None,
        events: Sequence[bytes] = (),
    ) -> bytes: ...

def child(span_id: int, slot: int) -> int: ...
def traceparent(trace_id: str, span_id: int, slot: int, sampled: bool) -> str: ...
