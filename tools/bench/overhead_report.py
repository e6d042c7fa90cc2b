"""The figures of the overhead: as an object for programs, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from measurement import SystemFigures
from pairs import Pairs, per_second, quantile_ms


@dataclass(frozen=True, slots=True)
class Budget:
    """The limit of a figure for each system; a system without one has no limit."""

    limits: Mapping[str, float]
    at_most: bool = True

    def verdict(self, system: str, value: float) -> str:
        """Return the limit and whether `value` keeps it, in words."""
        limit = self.limits.get(system)
        if limit is None:
            return ""
        kept = value <= limit if self.at_most else value >= limit
        return f"{'<=' if self.at_most else '>='} {limit:g} {'kept' if kept else 'MISSED'}"


BUDGETS: Final[Mapping[str, Budget]] = {
    "added_p50_ms": Budget({"embedded": 3.0, "separate": 6.0}),
    "added_p99_ms": Budget({}),
    "cpu_ms_per_request": Budget({"embedded": 1.5, "separate": 3.0}),
    "requests_per_second": Budget({"embedded": 600.0}, at_most=False),
    "stream_token_ratio": Budget({"embedded": 0.98, "separate": 0.98}, at_most=False),
    "stream_saturated_ratio": Budget({"embedded": 0.8, "separate": 0.8}, at_most=False),
    "rss_mb": Budget({"embedded": 250.0}),
}


TELEMETRY: Final[Mapping[str, Budget]] = {
    "cpu_ratio_full": Budget({"telemetry": 1.10}),
    "cpu_ratio_sampled": Budget({"telemetry": 1.02}),
    "cpu_ms_off": Budget({}),
}
"""Limits of what tracing costs, with all traces and with 1 % of them kept."""

COUNTED: Final[Mapping[str, Budget]] = {
    "instructions_ratio_full": Budget({"telemetry": 1.09}),
    "instructions_ratio_sampled": Budget({"telemetry": 1.015}),
    "million_instructions_off": Budget({}),
    "million_instructions_sampled": Budget({}),
    "million_instructions_full": Budget({}),
}
"""The same, counted in instructions: nearer, since they are the same every time."""


def telemetry_table(named: Mapping[str, float]) -> str:
    """Return what tracing costs, as text."""
    budgets = {**TELEMETRY, **COUNTED}
    rows = (
        f"{name:<30}{value:>10.4f}  {budgets[name].verdict('telemetry', value)}"
        for name, value in named.items()
    )
    return "\n".join(row.rstrip() for row in rows)


def headline(figures: SystemFigures) -> dict[str, float]:
    """Return the figures that have a name, rounded."""
    pairs = figures.pairs
    values = {
        "added_p50_ms": pairs["unary 1"].added_ms(0.5),
        "added_p99_ms": pairs["unary 1"].added_ms(0.99),
        "cpu_ms_per_request": pairs["unary 8"].cpu_ms_per_request(),
        "requests_per_second": per_second(pairs["unary 32"].through, "requests"),
        "stream_token_ratio": pairs["paced 32"].token_ratio(),
        "stream_saturated_ratio": pairs["stream 32"].token_ratio(),
        "rss_mb": figures.rss_mb,
    }
    return {name: round(value, 3) for name, value in values.items()}


def tables(measured: Mapping[str, SystemFigures]) -> str:
    """Return everything that was measured, as text."""
    return "\n\n".join([_details(measured), _headlines(measured)])


_COLUMNS = (
    "",
    "direct p50",
    "tandem p50",
    "added p50",
    "p99",
    "added TTFT p50",
    "direct/s",
    "tandem/s",
    "ratio",
    "CPU",
)


def _details(measured: Mapping[str, SystemFigures]) -> str:
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for system, figures in measured.items():
        rows += [(f"{system}, {name}", *_cells(pairs)) for name, pairs in figures.pairs.items()]
    note = "Times in ms, of whole answers. Per second: tokens. CPU: ms for a request, in all processes of Tandem."
    return f"{_aligned(rows)}\n{note}"


def _cells(pairs: Pairs) -> tuple[str, ...]:
    direct, through = per_second(pairs.direct, "tokens"), per_second(pairs.through, "tokens")
    return (
        f"{quantile_ms(pairs.direct, 0.5):.2f}",
        f"{quantile_ms(pairs.through, 0.5):.2f}",
        f"{pairs.added_ms(0.5):.2f}",
        f"{pairs.added_ms(0.99):.2f}",
        f"{pairs.added_ms(0.5, 'first_token_ms'):.2f}",
        f"{direct:.0f}",
        f"{through:.0f}",
        f"{pairs.token_ratio():.3f}",
        f"{pairs.cpu_ms_per_request():.2f}",
    )


def _headlines(measured: Mapping[str, SystemFigures]) -> str:
    rows = [("", *(cell for system in measured for cell in (system, "budget")))]
    named = {system: headline(figures) for system, figures in measured.items()}
    for name, budget in BUDGETS.items():
        cells = [
            (f"{named[system][name]:.3f}", budget.verdict(system, named[system][name])) for system in measured
        ]
        rows.append((name, *(cell for pair in cells for cell in pair)))
    return _aligned(rows)


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
