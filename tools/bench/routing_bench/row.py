"""One figure of the bench, with its interval, its baseline and its bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A figure. `bar` and `baseline` are those of the issue, where there are any."""

    name: str
    value: float
    low: float
    high: float
    baseline: float | None = None
    bar: float | None = None
    smaller: bool = False
    """Whether a smaller value is better."""
    timed: bool = False
    """Whether the value depends on the machine and on what else it does."""
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; none without a bar."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.smaller else self.value >= self.bar

    def as_object(self) -> dict[str, Any]:
        """Return the row for JSON; numbers to four digits, null where there is none to tell."""
        numbers = {
            name: None if found is None or math.isnan(found) else round(found, 4)
            for name, found in (
                ("value", self.value),
                ("low", self.low),
                ("high", self.high),
                ("baseline", self.baseline),
                ("bar", self.bar),
            )
        }
        return {
            "name": self.name,
            **numbers,
            "met": self.met,
            "smaller_is_better": self.smaller,
            "timed": self.timed,
            **{
                name: None if isinstance(found, float) and math.isnan(found) else found
                for name, found in self.more.items()
            },
        }


def unseen(count: int) -> float:
    """Return how often may happen what did not in so many trials, which no draw of them shows (95 %, rule of three)."""
    return min(1.0, 3 / count)
