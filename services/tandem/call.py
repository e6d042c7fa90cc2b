"""What travels with every request from hop to hop, beside the message."""

from __future__ import annotations

from typing import Final, NamedTuple

from tandem.clock import now
from tandem.telemetry.trace import Trace, trace_id_of

NAME: Final = "[A-Za-z0-9._-]{1,64}"
"""What names of tenants and identifiers of requests are made of, as a regular expression."""


class Call(NamedTuple):
    """Identity and limits of one request.

    The deadline is absolute on the clock of `tandem.clock.now()`. A tuple, because every request makes several.
    """

    request_id: str
    deadline: float
    started: float
    tenant: str = "anonymous"
    retries_left: int | None = None
    """Further backend attempts that the caller grants; None: as the policy says."""
    traceparent: str = ""
    tracestate: str = ""
    trace: Trace | None = None
    """The request's place in a trace; None: this process does not trace it."""

    @property
    def trace_id(self) -> str:
        """Identifier of the trace that the request is part of; empty if it is part of none."""
        return self.trace.trace_id if self.trace else trace_id_of(self.traceparent)

    def remaining(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self.deadline - now()

    def elapsed_ms(self) -> float:
        """Milliseconds since the request arrived."""
        return (now() - self.started) * 1000.0

    def until(self, deadline: float, slot: int = 0) -> Call:
        """Return the same call with an earlier deadline; a later one changes nothing.

        With a slot it is the call that the span in this place makes.
        """
        trace = self.trace if slot else None
        if deadline >= self.deadline and trace is None:
            return self
        # `_replace` takes several times as long, and every hop does this.
        return Call(
            self.request_id,
            min(deadline, self.deadline),
            self.started,
            self.tenant,
            self.retries_left,
            trace.traceparent(slot) if trace else self.traceparent,
            self.tracestate,
            self.trace,
        )
