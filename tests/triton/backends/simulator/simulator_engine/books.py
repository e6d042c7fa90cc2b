"""The engine's own books: tokens and requests counted as they are made, published now and then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

PUBLISH_SECONDS = 0.05


class Counter(Protocol):
    """A metric that only grows."""

    def increment(self, value: float) -> None:
        """Add to the metric."""


@dataclass(slots=True)
class Tally:
    """Counts that a single thread writes, so that counting needs no lock."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Books:
    """Publishes the tallies of one model as metrics.

    A published metric costs a round trip to Triton, so it happens every PUBLISH_SECONDS and not per token.
    Only one thread may publish: Triton dies when two threads of a model change metrics at the same time.
    """

    def __init__(
        self, requests: Counter, input_tokens: Counter, output_tokens: Counter, tallies: Sequence[Tally]
    ) -> None:
        self._counters = (requests, input_tokens, output_tokens)
        self._tallies = tallies
        self._published = (0, 0, 0)

    def publish(self) -> None:
        """Bring the metrics up to the tallies."""
        counts = (
            sum(tally.requests for tally in self._tallies),
            sum(tally.input_tokens for tally in self._tallies),
            sum(tally.output_tokens for tally in self._tallies),
        )
        for counter, count, published in zip(self._counters, counts, self._published, strict=True):
            if count > published:
                counter.increment(count - published)
        self._published = counts

    def step(self, now: float) -> float | None:
        """Publish, and ask to be called again: the form that a scheduler wants."""
        self.publish()
        return now + PUBLISH_SECONDS
