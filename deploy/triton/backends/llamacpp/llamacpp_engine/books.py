"""The engine's own books: tokens and requests counted as they are made, published now and then."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Protocol

PUBLISH_SECONDS = 0.05
COUNTS = ("requests", "input_tokens", "output_tokens")


class Counter(Protocol):
    """A metric that only grows."""

    def increment(self, value: float) -> None:
        """Add to the metric."""


class Books:
    """Counts of one model, written by many threads.

    A published metric costs a round trip to Triton, so it happens every PUBLISH_SECONDS and not per token.
    One thread does it: Triton dies when two threads of a model change metrics at the same time.
    """

    def __init__(self, counters: Mapping[str, Counter]) -> None:
        self._counters = counters
        self._unpublished = dict.fromkeys(COUNTS, 0)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._publish_until_closed, name="books", daemon=True)
        self._thread.start()

    def add(self, name: str, count: int) -> None:
        """Count something of COUNTS."""
        with self._lock:
            self._unpublished[name] += count

    def close(self) -> None:
        """Publish what is left and end."""
        self._closing.set()
        self._thread.join()

    def _publish_until_closed(self) -> None:
        while not self._closing.wait(PUBLISH_SECONDS):
            self._publish()
        self._publish()

    def _publish(self) -> None:
        with self._lock:
            counts, self._unpublished = self._unpublished, dict.fromkeys(COUNTS, 0)
        for name, count in counts.items():
            if count:
                self._counters[name].increment(count)
