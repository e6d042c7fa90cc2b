"""Judges what a client saw: in time, degraded, a typed error, late, lost, or with a wrong byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fault_matrix.outcome import End, Outcome
from fault_matrix.question import Patience, Question
from tandem.v1 import types_pb2

LATE_SECONDS: Final = 0.05
"""An end that comes so long after the deadline is late."""
MOST_WORDS: Final = 3
"""So many problems of a kind are told in words."""


@dataclass(slots=True)
class Tally:
    """Counts over the requests of a row."""

    sent: int = 0
    waited: int = 0
    """Requests whose clients waited for an answer."""
    in_time: int = 0
    """Of those, the ones that were answered by the deadline, degraded or not."""
    degraded: int = 0
    errors: int = 0
    late: int = 0
    lost: int = 0
    byte_errors: int = 0
    problems: dict[str, dict[str, str]] = field(default_factory=dict)
    """The first of what went wrong: by kind, in words, with the question that showed it."""

    def add(self, question: Question, outcome: Outcome) -> None:
        """Judge one request."""
        waited = question.patience is Patience.WAITS
        answered = outcome.end is End.ANSWERED
        self.sent += 1
        self.waited += waited
        self.in_time += waited and answered and outcome.seconds <= question.deadline_seconds
        self.degraded += answered and outcome.degraded
        self.errors += outcome.end is End.ERROR
        late = is_late(question, outcome)
        self.late += late
        self.lost += outcome.end is End.LOST
        wrong = list(byte_errors(question, outcome))
        self.byte_errors += bool(wrong)
        self._note(question, "bytes", wrong)
        if late:
            self._note(
                question, "late", [f"{outcome.end.value} after {outcome.seconds:.3f} s, {outcome.words}"]
            )
        if outcome.end in (End.ERROR, End.LOST):
            self._note(question, outcome.end.value, [outcome.words])

    def _note(self, question: Question, kind: str, wrong: list[str]) -> None:
        known = self.problems.setdefault(kind, {})
        for words in wrong:
            if len(known) < MOST_WORDS:
                known.setdefault(words, question.prompt.partition("?")[0])

    def words(self) -> list[str]:
        """Return the first of what went wrong, each kind of it, for people."""
        return [
            f"{kind}: {words} ({question})"
            for kind, known in self.problems.items()
            for words, question in known.items()
        ]


def is_late(question: Question, outcome: Outcome) -> bool:
    """Return True if the end came too long after the deadline, or not at all before the client gave up."""
    if question.patience is not Patience.WAITS:
        return False
    return outcome.end is End.OWN_DEADLINE or outcome.seconds > question.deadline_seconds + LATE_SECONDS


def byte_errors(question: Question, outcome: Outcome) -> Iterator[str]:
    """Yield what is wrong with the text that was shown, and with what was said about it."""
    if not question.answer.startswith(outcome.text):
        yield _difference(question.answer, outcome.text)
    if outcome.end is End.ANSWERED:
        yield from _finish_errors(question, outcome)
    for seam in outcome.seams:
        if seam.said_bytes != seam.shown_bytes:
            yield f"a seam is said to be at byte {seam.said_bytes} and is at byte {seam.shown_bytes}"


def _finish_errors(question: Question, outcome: Outcome) -> Iterator[str]:
    if outcome.finish_reason == types_pb2.FINISH_REASON_LENGTH:
        if not outcome.text:
            yield "an answer without a byte"
        if not outcome.degraded:
            yield "an answer is cut short, and no degradation says so"
    elif outcome.finish_reason != types_pb2.FINISH_REASON_STOP:
        yield f"an answer whose finish reason is {types_pb2.FinishReason.Name(outcome.finish_reason)}"
    elif len(outcome.text) < len(question.answer):
        yield f"an answer is said to be whole and ends at byte {len(outcome.text.encode())}"


def _difference(right: str, shown: str) -> str:
    same = next(
        (place for place, pair in enumerate(zip(right, shown, strict=False)) if pair[0] != pair[1]),
        len(right),
    )
    return (
        f"text differs from character {same} on: {shown[same : same + 20]!r}, not {right[same : same + 20]!r}"
    )
