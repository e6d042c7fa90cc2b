"""What travels with every request from hop to hop, beside the message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tandem.clock import now

NAME: Final = "[A-Za-z0-9._-]{1,64}"
"""What names of tenants and identifiers of requests are made of, as a regular expression."""

_TRACEPARENT: Final = re.compile("(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


@dataclass(frozen=True, slots=True)
class Call:
    """Identity and limits of one request.

    The deadline is absolute on the clock of `tandem.clock.now()`.
    """

    request_id: str
    deadline: float
    started: float
    tenant: str = "anonymous"
    retries_left: int | None = None
    """Further backend attempts that the caller grants; None: as the policy says."""
    traceparent: str = ""
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        """Identifier of the trace that the request is part of; empty if it is part of none."""
        if not self.traceparent:
            return ""
        found = _TRACEPARENT.fullmatch(self.traceparent)
        return found[1] if found else ""

    def remaining(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self.deadline - now()

    def elapsed_ms(self) -> float:
        """Milliseconds since the request arrived."""
        return (now() - self.started) * 1000.0

    def until(self, deadline: float) -> Call:
        """Return the same call with an earlier deadline; a later one changes nothing."""
        if deadline >= self.deadline:
            return self
        # `dataclasses.replace` takes several times as long, and every hop does this.
        return Call(
            self.request_id,
            deadline,
            self.started,
            self.tenant,
            self.retries_left,
            self.traceparent,
            self.tracestate,
        )
