"""The figures of goodput: as an object for programs, as a table for people, and whether Tandem kept its promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Final

from tandem.simulation.outcomes import Outcome

TANDEM: Final = "tandem"
DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one world."""

    scenario: str
    contender: str
    load: float
    """Arrivals as a multiple of the capacity."""
    outcome: Outcome


def as_object(requests: int, seed: int, rows: Sequence[Row]) -> dict[str, Any]:
    """Return everything, for programs."""
    return {"requests": requests, "seed": seed, "rows": [_as_object(row) for row in rows]}


def _as_object(row: Row) -> dict[str, Any]:
    figures = {
        name: round(value, DIGITS) if isinstance(value, float) else value
        for name, value in asdict(row.outcome).items()
    }
    return {"scenario": row.scenario, "contender": row.contender, "load": row.load, **figures}


_COLUMNS: Final = (
    "contender",
    "in time",
    "whole",
    "degraded",
    "errors",
    "late",
    "lost",
    "goodput/s",
    "attempts",
    "pro",
    "tokens",
    "p50",
    "p99",
)


def table(rows: Sequence[Row]) -> str:
    """Return the figures of all scenarios for people, as Markdown."""
    return "\n\n".join(_section(list(group)) for _, group in groupby(rows, lambda row: row.scenario))


def _section(rows: Sequence[Row]) -> str:
    lines = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    printed = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    printed.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    title = f"**{rows[0].scenario}**, {rows[0].outcome.sent} requests"
    return "\n".join([title, "", *printed])


def _cells(row: Row) -> tuple[str, ...]:
    outcome = row.outcome
    return (
        row.contender,
        _part(outcome.in_time, outcome),
        _part(outcome.in_time - outcome.cut, outcome),
        _part(outcome.degraded, outcome),
        _part(outcome.errors, outcome),
        _part(outcome.late, outcome),
        str(outcome.lost),
        f"{outcome.goodput_per_second:.2f}",
        f"{outcome.amplification:.3f}",
        f"{outcome.pro_share:.1%}",
        f"{outcome.tokens_made / outcome.sent:.0f}",
        f"{outcome.p50_ms / 1000.0:.2f} s",
        f"{outcome.p99_ms / 1000.0:.1f} s",
    )


def _part(count: int, outcome: Outcome) -> str:
    return f"{count / outcome.sent:.2%}"


def broken_promises(rows: Sequence[Row]) -> list[str]:
    """Return what Tandem promises and did not do, for people."""
    return [
        f"in {row.scenario}, {what}"
        for row in rows
        if row.contender == TANDEM
        for what in _broken(row.outcome)
    ]


def _broken(outcome: Outcome) -> list[str]:
    found = []
    if outcome.late:
        found.append(f"{outcome.late} requests got nothing by their deadline")
    if outcome.lost:
        found.append(f"{outcome.lost} requests got neither an answer nor an error")
    if outcome.tokens_booked != outcome.tokens_made:
        found.append(
            f"{outcome.tokens_made} tokens were made and {outcome.tokens_booked} booked: the difference is lost to the "
            "ledger"
        )
    return found
