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
    return _aligned(lines)


def nested_table(rows: Sequence[Row]) -> str:
    """Return the rows of nested cross-validation as a table: chosen beside fixed."""
    lines = [["row", "nested", "95 % interval", "fixed", "difference", "95 % interval", "by fold", "fixed"]]
    for row in rows:
        gap, low, high = (f"{row.more[f'difference{end}']:+.3f}" for end in ("", "_low", "_high"))
        lines.append(
            [
                row.name,
                _number(row.value),
                f"{_number(row.low)}–{_number(row.high)}",
                _number(row.more["fixed"]),
                gap,
                f"{low} to {high}",
                _number(row.more.get("nested_by_fold")),
                _number(row.more.get("fixed_by_fold")),
            ]
        )
    return _aligned(lines)


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
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
