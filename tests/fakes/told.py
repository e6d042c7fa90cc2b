"""What a collector tells, as a scrape would read it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Told:
    """The samples of a scrape."""

    samples: dict[str, list[tuple[dict[str, str], float]]]

    @property
    def names(self) -> set[str]:
        """Names of all samples."""
        return set(self.samples)

    def of(self, name: str) -> dict[str, Any]:
        """Return the samples of a name by their labels, `label=value …` in alphabetical order."""
        return {
            " ".join(f"{label}={value}" for label, value in sorted(labels.items())): number
            for labels, number in self.samples.get(name, [])
        }

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values that a label has."""
        return {labels[label] for labels, _ in self.samples.get(name, [])}

    def total(self, name: str, **wanted: str) -> float:
        """Return the sum of the samples with these labels."""
        return sum(
            number
            for labels, number in self.samples.get(name, [])
            if all(labels[label] == value for label, value in wanted.items())
        )


def told(*collectors: Collector) -> Told:
    """Return what collectors tell."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return read(generate_latest(registry).decode())


def read(text: str) -> Told:
    """Return what a scrape's text tells."""
    samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for family in parse(text):
        for sample in family.samples:
            samples[sample.name].append((sample.labels, sample.value))
    return Told(dict(samples))
