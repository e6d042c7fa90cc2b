"""Counts and distributions that cost a request next to nothing: plain numbers, in Prometheus's form when asked for.

The measures of `prometheus_client` itself take a lock for every number, and look a histogram's bucket up in order,
which takes two to four times as long; and one fact would have to be told to several of them. Here a fact is added to a
dictionary. All of it happens in the event loop, and so does telling (see `serving.exposition`), so no lock is needed.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Final, TypeAlias

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from tandem.enum_words import Enum, enum_words
from tandem.telemetry.metric_names import Metric

OTHER: Final = "other"
"""Stands for all values of a label beyond the most that are told apart."""
NONE: Final = "none"
"""Stands for no value."""

Key: TypeAlias = tuple[str | int, ...]
"""One value for each label; a number where the label has words for numbers."""
Words: TypeAlias = Mapping[int, str]
"""The words for the numbers of an enum."""
Labelling: TypeAlias = Callable[[Sequence[str]], tuple[str, ...]]
"""Gives the values of a metric's labels for those of a key."""


def words(enum: Enum, prefix: str) -> Words:
    """Return the word for every value of an enum of the contract, as labels have them."""
    return enum_words(enum, prefix, NONE)


class Bounded:
    """Keeps the values of a label few, whoever makes them up.

    Args:
        most: told apart; all others are `other`.
        known: are told apart in any case, and count.
    """

    def __init__(self, most: int, known: Iterable[str] = ()) -> None:
        self._most = most
        self._known = set(known)

    def of(self, value: str) -> str:
        """Return the value, or what stands for it."""
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value


class _Series:
    """What was seen under one key."""

    __slots__ = ("counts", "examples", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.examples: dict[int, tuple[str, float, float]] = {}
        self.total: float = 0

    def add(self, other: _Series) -> None:
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total
        self.examples.update(other.examples)


class Facts:
    """Events of one kind, counted by key, and the distribution and sum of one number that each of them has.

    Several metrics may be told of the same facts, each with some of the labels: what costs time is to note a fact, not
    to tell of it.

    Args:
        labels: what the values of a key are.
        buckets: upper bounds of the number, ascending; none: its distribution does not matter.
        spelled: the words of labels whose values are numbers.
    """

    def __init__(
        self,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = (),
        spelled: Mapping[str, Words] = MappingProxyType({}),
    ) -> None:
        self._labels = tuple(labels)
        self._words = [spelled.get(label) for label in labels]
        self._bounds = tuple(buckets)
        self._series: dict[Key, _Series] = {}

    def note(self, key: Key = (), number: float = 0, trace_id: str = "") -> None:
        """Note an event; `trace_id` names the trace that it was in."""
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(len(self._bounds) + 1)
        bucket = bisect_left(self._bounds, number)
        series.counts[bucket] += 1
        series.total += number
        if trace_id:
            series.examples[bucket] = (trace_id, number, time.time())

    def counts(self, metric: Metric, labelling: Labelling | None = None) -> Family:
        """Return how many events there were."""
        family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, series in self._by(labelling or self._picked(metric)).items():
            example = _exemplar(next(iter(series.examples.values()), None))
            family.add_metric(labels, sum(series.counts), exemplar=example)
        return family

    def sums(self, metric: Metric, unit: int = 1) -> Family:
        """Return the sums of the number, of which `unit` make 1."""
        series = self._by(self._picked(metric))
        return counter(metric, {labels: each.total / unit for labels, each in series.items()})

    def distribution(self, metric: Metric, labelling: Labelling | None = None) -> Family:
        """Return the distribution of the number."""
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        names = [*(str(floatToGoString(bound)) for bound in self._bounds), "+Inf"]
        for labels, series in self._by(labelling or self._picked(metric)).items():
            told = [
                (name, below, exemplar)
                if (exemplar := _exemplar(series.examples.get(place)))
                else (name, below)
                for place, (name, below) in enumerate(zip(names, accumulate(series.counts), strict=True))
            ]
            family.add_metric(labels, told, series.total)
        return family

    def _by(self, labelling: Labelling) -> Mapping[tuple[str, ...], _Series]:
        """Return what was seen by the values of labels, of which there may be fewer than of keys."""
        merged: dict[tuple[str, ...], _Series] = {}
        for key, series in self._series.items():
            labels = labelling([self._word(place, value) for place, value in enumerate(key)])
            merged.setdefault(labels, _Series(len(series.counts))).add(series)
        return merged

    def _word(self, place: int, value: str | int) -> str:
        known = self._words[place]
        return str(value) if known is None else known.get(int(value), NONE)

    def _picked(self, metric: Metric) -> Labelling:
        places = [self._labels.index(label) for label in metric.labels]
        return lambda values: tuple(values[place] for place in places)


def _exemplar(example: tuple[str, float, float] | None) -> Exemplar | None:
    if example is None:
        return None
    trace_id, number, at = example
    return Exemplar({"trace_id": trace_id}, number, at)


def gauge(metric: Metric, values: Mapping[tuple[str, ...], float]) -> Family:
    """Return what a gauge shows now, by the values of its labels."""
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def counter(metric: Metric, values: Mapping[tuple[str, ...], float]) -> Family:
    """Return what something else has counted, by the values of its labels."""
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def info(metric: Metric, *values: str) -> Family:
    """Return what cannot be measured, such as a revision."""
    return InfoMetricFamily(
        metric.name.removesuffix("_info"), metric.help, value=dict(zip(metric.labels, values, strict=True))
    )


def sampled_trace(traceparent: str) -> str:
    """Return the trace's identifier in a valid W3C `traceparent` if the trace is recorded, else nothing."""
    return traceparent[3:35] if traceparent and traceparent[54] in "13579bdf" else ""
