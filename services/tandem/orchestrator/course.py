"""How a request went, beside what its answer says: the times of its parts, and what its attempts were planned as."""

from __future__ import annotations

import enum
import secrets
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from tandem.clock import now
from tandem.errors import error_type
from tandem.v1 import types_pb2


class Slot(enum.IntEnum):
    """Places of the spans of a request, from which their identifiers follow."""

    CACHE = 1
    SHARED_CACHE = 2
    CLASSIFY = 3
    PLAN = 4
    FUSE = 5
    RECORD = 6


_FIRST_ATTEMPT: Final = 16
_MOST_ATTEMPTS: Final = 256
_SERIES: Final = 2**24


def attempt_slot(index: int) -> int:
    """Return the place of an attempt."""
    return _FIRST_ATTEMPT + 2 * index


def chat_slot(index: int) -> int:
    """Return the place of an attempt's call to its model."""
    return _FIRST_ATTEMPT + 2 * index + 1


class Phase:
    """One part of a request; a context that is the part."""

    __slots__ = ("ended", "error", "slot", "started")

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.started = now()
        self.ended = self.started
        self.error = ""
        """What kind of error ended it. Empty: none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended = now()
        if error is not None:
            self.error = error_type(error)


@dataclass(slots=True)
class Course:
    """How one request went."""

    phases: list[Phase] = field(default_factory=list)
    """Its parts, in the order of their start; its attempts have their own times."""
    tried: list[types_pb2.PlannedAttempt] = field(default_factory=list)
    """What each of its attempts was planned as, in the order of the attempts."""
    _series: int = field(default_factory=lambda: secrets.randbelow(_SERIES))

    def engine_number(self, index: int) -> int:
        """Return the number by which engines know an attempt, beside the identifier of its request.

        Clients may repeat an identifier, even while the request that had it before is still being settled.
        """
        return self._series * _MOST_ATTEMPTS + index

    def phase(self, slot: Slot) -> Phase:
        """Book the start of a part; the part is the context that this returns."""
        phase = Phase(slot)
        self.phases.append(phase)
        return phase
