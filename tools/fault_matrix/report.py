"""The figures of a run, for programs and for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from fault_matrix.result import Result
from fault_matrix.row import Row

_COLUMNS: Final = (
    ("sent", "sent"),
    ("in_time", "in time"),
    ("degraded", "degraded"),
    ("errors", "errors"),
    ("late", "late"),
    ("lost", "lost"),
    ("byte_errors", "bytes"),
    ("amplification", "amplif."),
    ("ledger_error", "ledger"),
)


def figures(result: Result) -> dict[str, Any]:
    """Return a row as the JSON has it."""
    tally, books = result.tally, result.books
    return {
        "fault": result.row.name,
        "sent": tally.sent,
        "waited": tally.waited,
        "in_time": tally.in_time,
        "degraded": tally.degraded,
        "errors": tally.errors,
        "late": tally.late,
        "lost": tally.lost,
        "byte_errors": tally.byte_errors,
        "amplification": books.amplification,
        "ledger_error": books.ledger_error,
        "broken": result.broken,
    }


def in_time_share(results: Iterable[Result]) -> float | None:
    """Return the share of answers in time over all requests that waited for one while a tier was well."""
    counted = [result.tally for result in results if result.row.healthy_tier]
    waited = sum(tally.waited for tally in counted)
    return sum(tally.in_time for tally in counted) / waited if waited else None


def as_object(results: Sequence[Result], skipped: Sequence[Row]) -> dict[str, Any]:
    """Return everything as the JSON has it."""
    return {
        "rows": [figures(result) for result in results],
        "skipped": [row.name for row in skipped],
        "in_time_share": in_time_share(results),
    }


def as_table(results: Sequence[Result], skipped: Sequence[Row]) -> str:
    """Return everything as a table for people."""
    width = max(len(row.name) for row in [*(result.row for result in results), *skipped])
    lines = [f"{'fault':{width}}" + "".join(f"{title:>9}" for _, title in _COLUMNS) + "  verdict"]
    for result in results:
        found = figures(result)
        cells = "".join(f"{_cell(key, found[key]):>9}" for key, _ in _COLUMNS)
        verdict = f"BROKEN: {', '.join(found['broken'])}" if found["broken"] else "kept"
        lines.append(f"{result.row.name:{width}}{cells}  {verdict}")
    lines += [f"{row.name:{width}}  skipped: it needs control of the processes" for row in skipped]
    share = in_time_share(results)
    if share is not None:
        lines.append(f"\n{share:.4%} answered in time while a tier was well.")
    return "\n".join(lines)


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    if key == "amplification":
        return f"{value:.3f}"
    return f"{value:.2%}" if key == "ledger_error" else str(value)
