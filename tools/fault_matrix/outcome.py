"""What a client saw of one request."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from tandem.v1 import types_pb2


class End(enum.Enum):
    """How a request ended for its client."""

    ANSWERED = "answered"
    ERROR = "error"
    """With a status that has Tandem's ErrorInfo."""
    OWN_DEADLINE = "own deadline"
    """The server gave nothing, and the client's deadline ended the call."""
    LOST = "lost"
    """With a status that has no ErrorInfo, or a stream that ended without its last event."""
    LEFT = "left"
    """The client went away before there was an end."""


@dataclass(slots=True)
class Seam:
    """Where one model took over from another, and where the client was in the text then."""

    said_bytes: int
    shown_bytes: int


@dataclass(slots=True)
class Outcome:
    """What a client saw of one request."""

    end: End = End.LOST
    seconds: float = 0.0
    """From the call to its end."""
    text: str = ""
    finish_reason: types_pb2.FinishReason.ValueType = types_pb2.FINISH_REASON_UNSPECIFIED
    degraded: bool = False
    seams: list[Seam] = field(default_factory=list)
    words: str = ""
    """Reason and message of an error, for people."""
