"""Shows what a calibration found: a table for people, an object for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from tandem.calibration.run import Result
from tandem.calibration.thresholds import Cut, Effect, Estimate
from tandem.orchestrator.routing_policy import Routing

WIDTH = 110


def as_object(result: Result, written: str | None) -> dict[str, Any]:
    """Return the result as an object; `written` is the policy that was changed."""
    return {
        "target": result.aim.target(),
        "source": result.source,
        "requests": result.requests,
        "output_tokens": result.output_tokens,
        "overall": asdict(result.overall),
        "slices": [{**asdict(cut), "chosen": cut in result.chosen} for cut in result.slices],
        "effect": {"overall": asdict(result.uniform), "with_slices": asdict(result.sliced)},
        "reliability": {name: asdict(found) for name, found in result.reliability.items()},
        "written": written,
    }


def show_result(result: Result, routing: Routing, written: str | None) -> None:
    """Show the result."""
    console = Console(width=WIDTH, soft_wrap=True)
    console.print(
        f"{result.requests:,} requests from {result.source}; intervals are of 95 %.", highlight=False
    )
    console.print(_cuts(result, routing))
    console.print(_effects(result))
    for name, found in result.reliability.items():
        console.print(
            f"Calibration of R1 suffices, {name}: expected error {found.error:.3f} on {found.requests:,} outcomes.",
            highlight=False,
        )
    tokens = ", ".join(f"{count:.0f} by {tier}" for tier, count in result.output_tokens.items())
    console.print(f"Costs are for answers of {tokens} tokens.", highlight=False)
    if written:
        console.print(f"Written to {written}.", highlight=False)
    else:
        console.print("Nothing was written: add --write to change the policy.", highlight=False)


def _cuts(result: Result, routing: Routing) -> Table:
    table = Table("language", "domain", "requests", "threshold", f"{routing.strong} answers", "worth writing")
    for cut in (result.overall, *result.slices):
        everybody = cut is result.overall
        chosen = "yes" if everybody or cut in result.chosen else "no: not surely different"
        table.add_row(*_names(cut), f"{cut.requests:,}", _number(cut.threshold), _percent(cut.share), chosen)
    return table


def _effects(result: Result) -> Table:
    table = Table("thresholds", "share", "$ per 1,000", "right")
    table.add_row("overall alone", *_cells(result.uniform))
    if result.chosen:
        table.add_row("with languages and domains", *_cells(result.sliced))
    return table


def _names(cut: Cut) -> tuple[str, str]:
    return cut.language or "any", cut.domain or "any"


def _cells(effect: Effect) -> tuple[str, str, str]:
    money = f"{effect.usd_per_1k.value:.4f} ({effect.usd_per_1k.low:.4f} to {effect.usd_per_1k.high:.4f})"
    return _percent(effect.share), money, _percent(effect.quality) if effect.quality else "not known"


def _number(estimate: Estimate) -> str:
    return f"{estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"
