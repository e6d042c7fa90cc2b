"""Reads calibrated signals off the columns."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from tandem.classifier.header import ChoiceHead, DoubtHead, Header, ScoreHead
from tandem.classifier.weights import Floats
from tandem.v1 import types_pb2

STEPS: Final = 1e4
"""Steps of a signal in 1: what differs beyond four decimals is the arithmetic of the machine."""
MOST_LOG_ODDS: Final = 30.0
"""Log-odds beyond which a probability is as good as certain, so that no power overflows."""


class Heads:
    """Turns columns into signals, as the header of an artifact says."""

    def __init__(self, header: Header) -> None:
        self._suffices = _Score(header.r1_suffices, header.columns)
        self._gain = _Score(header.expected_gain, header.columns)
        self._complexity = _Score(header.complexity, header.columns)
        self._task = _Choice(header.task, "task", header.columns)
        self._domain = _Choice(header.domain, "domain", header.columns)
        self._professional = _Doubt(header.professional, header.columns.index("professional"))

    def read(self, columns: Floats, signals: types_pb2.Signals) -> None:
        """Fill in the signals that are learned: scores, task, domain and professional."""
        sums: list[float] = columns.tolist()
        self._complexity.read(sums, signals.complexity)
        self._suffices.read(sums, signals.r1_suffices)
        self._gain.read(sums, signals.expected_gain)
        self._task.read(sums, signals.task)
        self._domain.read(sums, signals.domain)
        self._professional.read(sums, signals.professional)


class _Score:
    """A number, by straight lines between points."""

    def __init__(self, head: ScoreHead, columns: Sequence[str]) -> None:
        self._mix = [(columns.index(name), weight) for name, weight in head.mix.items()]
        self._at = head.at
        self._points = list(zip(head.value, head.confidence, strict=True))

    def read(self, sums: Sequence[float], signal: types_pb2.ScoreSignal) -> None:
        mixed = 0.0
        for column, weight in self._mix:
            mixed += weight * sums[column]
        value, confidence = self._read(mixed)
        signal.value, signal.confidence = _rounded(value), _rounded(confidence)

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
        self._heights = itemgetter(*[columns.index(f"{name}.{label}") for label in head.labels])
        self._temperature = head.temperature
        self._threshold = head.threshold

    def read(self, sums: Sequence[float], signal: types_pb2.TaskSignal | types_pb2.DomainSignal) -> None:
        """Give the likeliest label and its probability; or none, and the probability that the likeliest were wrong."""
        heights, temperature = self._heights(sums), self._temperature
        top = max(heights)
        probability = 1 / sum(map(math.exp, [(height - top) / temperature for height in heights]))
        if probability < self._threshold:
            signal.confidence = _rounded(1 - probability)
        else:
            signal.value = self._values[heights.index(top)]
            signal.confidence = _rounded(probability)


class _Doubt:
    """Yes, no, or neither."""

    def __init__(self, head: DoubtHead, column: int) -> None:
        self._head = head
        self._column = column

    def read(self, sums: Sequence[float], signal: types_pb2.ProfessionalSignal) -> None:
        log_odds = sums[self._column] / self._head.temperature
        probability = 1 / (1 + math.exp(-min(abs(log_odds), MOST_LOG_ODDS)))
        if probability < self._head.threshold:
            signal.confidence = _rounded(1 - probability)
        else:
            signal.value, signal.confidence = log_odds > 0, _rounded(probability)


def _rounded(value: float) -> float:
    # `round` takes ten times as long.
    return math.floor(value * STEPS + 0.5) / STEPS
