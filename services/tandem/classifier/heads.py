"""Reads calibrated signals off the columns."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from tandem.classifier.header import ChoiceHead, DoubtHead, Header, ScoreHead
from tandem.classifier.weights import Columns
from tandem.v1 import types_pb2

DIGITS: Final = 4
"""Decimals of a signal: what differs beyond them is the arithmetic of the machine."""
MOST_LOG_ODDS: Final = 30.0
"""Log-odds beyond which a probability is as good as certain, so that no power overflows."""
UNDECIDED: Final = 0
"""The unspecified value of an enum."""


class Heads:
    """Turns columns into signals, as the header of an artifact says."""

    def __init__(self, header: Header) -> None:
        self._suffices = _Score(header.r1_suffices, header.columns)
        self._gain = _Score(header.expected_gain, header.columns)
        self._complexity = _Score(header.complexity, header.columns)
        self._task = _Choice(header.task, "task", header.columns)
        self._domain = _Choice(header.domain, "domain", header.columns)
        self._professional = _Doubt(header.professional, header.columns.index("professional"))

    def read(self, columns: Columns) -> types_pb2.Signals:
        """Return the signals that are learned: scores, task, domain and professional."""
        sums: list[float] = columns.tolist()
        task, task_confidence = self._task.read(sums)
        domain, domain_confidence = self._domain.read(sums)
        return types_pb2.Signals(
            complexity=self._complexity.read(sums),
            r1_suffices=self._suffices.read(sums),
            expected_gain=self._gain.read(sums),
            task=types_pb2.TaskSignal(value=task, confidence=task_confidence),  # type: ignore[arg-type]  # of the enum
            domain=types_pb2.DomainSignal(value=domain, confidence=domain_confidence),  # type: ignore[arg-type]  # too
            professional=self._professional.read(sums),
        )


class _Score:
    """A number, by straight lines between points."""

    def __init__(self, head: ScoreHead, columns: Sequence[str]) -> None:
        self._mix = [(columns.index(name), weight) for name, weight in head.mix.items()]
        self._at = head.at
        self._points = list(zip(head.value, head.confidence, strict=True))

    def read(self, sums: Sequence[float]) -> types_pb2.ScoreSignal:
        mixed = 0.0
        for column, weight in self._mix:
            mixed += weight * sums[column]
        value, confidence = self._read(mixed)
        return types_pb2.ScoreSignal(value=round(value, DIGITS), confidence=round(confidence, DIGITS))

    def _read(self, mixed: float) -> tuple[float, float]:
        at = self._at
        after = bisect_right(at, mixed)
        if after == 0:
            return self._points[0]
        if after == len(at):
            return self._points[-1]
        share = (mixed - at[after - 1]) / (at[after] - at[after - 1])
        (value, confidence), (next_value, next_confidence) = self._points[after - 1], self._points[after]
        return value + share * (next_value - value), confidence + share * (next_confidence - confidence)


class _Choice:
    """A label: the likeliest, or none where it is not likely enough."""

    def __init__(self, head: ChoiceHead, name: str, columns: Sequence[str]) -> None:
        enum = {"task": types_pb2.Task, "domain": types_pb2.Domain}[name]
        self._values: list[int] = [enum.Value(f"{name}_{label}".upper()) for label in head.labels]
        self._columns = [columns.index(f"{name}.{label}") for label in head.labels]
        self._temperature = head.temperature
        self._threshold = head.threshold

    def read(self, sums: Sequence[float]) -> tuple[int, float]:
        """Return the label and its probability; of no label the probability that the likeliest were wrong."""
        heights = [sums[column] for column in self._columns]
        top = max(heights)
        probability = 1 / sum([math.exp((height - top) / self._temperature) for height in heights])
        if probability < self._threshold:
            return UNDECIDED, round(1 - probability, DIGITS)
        return self._values[heights.index(top)], round(probability, DIGITS)


class _Doubt:
    """Yes, no, or neither."""

    def __init__(self, head: DoubtHead, column: int) -> None:
        self._head = head
        self._column = column

    def read(self, sums: Sequence[float]) -> types_pb2.ProfessionalSignal:
        log_odds = sums[self._column] / self._head.temperature
        probability = 1 / (1 + math.exp(-min(abs(log_odds), MOST_LOG_ODDS)))
        if probability < self._head.threshold:
            return types_pb2.ProfessionalSignal(confidence=round(1 - probability, DIGITS))
        return types_pb2.ProfessionalSignal(value=log_odds > 0, confidence=round(probability, DIGITS))
