"""When something is wrong with a simulated machine: drawn once for a world, the same for whoever runs in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

Span = tuple[float, float]
"""Start and end in seconds of virtual time."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """How often something is wrong, and for how long each time."""

    share: float = 0.0
    """Part of the time, 0 (never) to below 1."""
    mean_seconds: float = 10.0
    """Mean length of an episode, in seconds; lengths and pauses are exponential."""


NEVER: Final = Trouble()


class Episodes:
    """Spans of trouble, in order; asked about times that never go back.

    Args:
        spans: disjoint, in order of time.
    """

    def __init__(self, spans: Sequence[Span] = ()) -> None:
        self._spans = spans
        self._next = 0

    def first(self, start: float, end: float) -> Span | None:
        """Return the first span that touches the time from `start` to `end`; `start` never goes back."""
        while self._next < len(self._spans) and self._spans[self._next][1] <= start:
            self._next += 1
        if self._next == len(self._spans) or self._spans[self._next][0] > end:
            return None
        return self._spans[self._next]

    def cover(self, when: float) -> bool:
        """Tell whether there is trouble at a time, not before that of calls before."""
        return self.first(when, when) is not None


def draw(trouble: Trouble, horizon: float, random: np.random.Generator) -> list[Span]:
    """Return the spans that begin before `horizon`, in seconds."""
    if not trouble.share:
        return []
    pause = trouble.mean_seconds * (1.0 - trouble.share) / trouble.share
    spans: list[Span] = []
    start = random.exponential(pause)
    while start < horizon:
        end = start + random.exponential(trouble.mean_seconds)
        spans.append((start, end))
        start = end + random.exponential(pause)
    return spans
