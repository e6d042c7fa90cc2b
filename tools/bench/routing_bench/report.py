"""What people read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from routing_bench.row import Row

_BESIDE: Final = ("random", "knn", "r1_wrong", "oracle", "always_r1", "always_pro", "exact", "cpt50", "cpt80")
_MET: Final = {True: "yes", False: "no", None: ""}


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table; a router's beside everybody else's on the same questions."""
    head = ["row", "value", "95 % interval", "baseline", "bar", "met", *_BESIDE]
    lines = [head]
    for row in rows:
        beside = [_number(row.more.get(name)) for name in _BESIDE]
        lines.append(
            [
                row.name,
                _number(row.value),
                f"{_number(row.low)}–{_number(row.high)}" if row.low != row.high else "",
                _number(row.baseline),
                _number(row.bar),
                _MET[row.met],
                *beside,
            ]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
