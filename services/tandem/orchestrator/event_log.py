"""The events of one answer, readable from the beginning at any pace.

What is kept is bounded by the answer: the text once, and the few events that are no text. A reader that lags behind
gets in one event what came in several.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tandem.errors import InternalError
from tandem.v1 import orchestrator_pb2, types_pb2

Event = orchestrator_pb2.StreamGenerateResponse


@dataclass(slots=True)
class Place:
    """How far a reader has come: whole entries, and pieces of the entry after them."""

    entry: int = 0
    piece: int = 0


@dataclass(slots=True)
class _Run:
    """Neighbouring deltas of one kind."""

    is_text: bool
    pieces: list[str] = field(default_factory=list)

    def since(self, piece: int) -> Event:
        delta = self.pieces[piece] if piece == len(self.pieces) - 1 else "".join(self.pieces[piece:])
        if self.is_text:
            return Event(text=orchestrator_pb2.TextDelta(delta=delta))
        return Event(reasoning=orchestrator_pb2.ReasoningDelta(delta=delta))


class EventLog:
    """What has happened so far."""

    def __init__(self) -> None:
        self._entries: list[Event | _Run] = []

    def add(self, event: Event) -> None:
        """Append an event."""
        kind = event.WhichOneof("event")
        if kind == "text":
            self._run(is_text=True).pieces.append(event.text.delta)
        elif kind == "reasoning":
            self._run(is_text=False).pieces.append(event.reasoning.delta)
        else:
            self._entries.append(event)

    def take(self, place: Place) -> Event | None:
        """Return what follows a place and move the place on; None: nothing yet. Only deltas belong to the reader."""
        while place.entry < len(self._entries):
            entry = self._entries[place.entry]
            if not isinstance(entry, _Run):
                place.entry += 1
                return entry
            if place.piece < len(entry.pieces):
                event = entry.since(place.piece)
                place.piece = len(entry.pieces)
                return event
            if place.entry == len(self._entries) - 1:
                return None
            place.entry, place.piece = place.entry + 1, 0
        return None

    def answer(self) -> types_pb2.Answer:
        """Return the whole answer, with the text and the reasoning of the events.

        Raises:
            InternalError: the answer has not finished.
        """
        last = self._entries[-1] if self._entries else None
        if not isinstance(last, Event) or not last.HasField("finished"):
            raise InternalError("the answer ended without its last event; report this as a defect")
        answer = last.finished.answer
        if len(self._entries) > 1:
            answer = types_pb2.Answer()
            answer.CopyFrom(last.finished.answer)
            answer.text, answer.reasoning = self._joined()
        return answer

    def _joined(self) -> tuple[str, str]:
        text: list[str] = []
        reasoning: list[str] = []
        for entry in self._entries:
            if isinstance(entry, _Run):
                (text if entry.is_text else reasoning).extend(entry.pieces)
            elif entry.HasField("revision"):
                text, reasoning = [entry.revision.text], [entry.revision.reasoning]
        return "".join(text), "".join(reasoning)

    def _run(self, *, is_text: bool) -> _Run:
        """Return the run that a delta belongs to."""
        last = self._entries[-1] if self._entries else None
        if isinstance(last, _Run) and last.is_text == is_text:
            return last
        run = _Run(is_text)
        self._entries.append(run)
        return run
