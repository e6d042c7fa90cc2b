"""One figure of the bench, beside what is simpler, with its bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """A figure; `baseline` and `bar` are those of the issue, where there are any."""

    name: str
    value: float
    low: float
    high: float
    met: bool | None = None
    best_single: float | None = None
    majority: float | None = None
    baseline: float | None = None
    bar: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_object(self) -> dict[str, Any]:
        """Return the row for JSON; numbers to four digits."""
        names = ("value", "low", "high", "best_single", "majority", "baseline", "bar")
        numbers = {name: _rounded(getattr(self, name)) for name in names}
        return {"name": self.name, **numbers, "met": self.met, **self.more}


def interval(splits: Sequence[Numbers], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean over the questions of one split, as the mean of the splits' own."""
    draw = np.random.default_rng(seed)
    ends = [
        np.percentile(
            [found[draw.integers(0, len(found), len(found))].mean() for _ in range(RESAMPLES // len(splits))],
            (2.5, 97.5),
        )
        for found in splits
    ]
    low, high = np.mean(ends, axis=0)
    return float(low), float(high)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table for people."""
    head = ("row", "value", "95 % interval", "best single", "majority", "baseline", "bar", "met")
    lines = [head, *(_line(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _line(row: Row) -> tuple[str, ...]:
    met = "" if row.met is None else "yes" if row.met else "no"
    beside = (row.best_single, row.majority, row.baseline, row.bar)
    around = f"{row.low:.4f}–{row.high:.4f}" if row.low != row.high else ""
    return (row.name, f"{row.value:.4f}", around, *("" if at is None else f"{at:.4f}" for at in beside), met)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
