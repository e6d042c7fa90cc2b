"""How the ledger looks on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tandem.cli.report import usd
from tandem.ledger.checking import Comparison
from tandem.ledger.queries import Total

PIPE_WIDTH: Final = 200
"""Columns of a table where no terminal says how many there are."""


def show(*tables: Table) -> None:
    """Print tables."""
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for table in tables:
        console.print(table)


def _table(left: Sequence[str], right: Sequence[str] = (), title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right")
    return table


def requests_table(found: Iterable[Mapping[str, Any]]) -> Table:
    """Return the newest requests, one a row."""
    table = _table(
        ("time (UTC)", "request", "tenant", "tier", "outcome"),
        ("in", "out", "first token", "duration", "cost", "attempts"),
    )
    for each in found:
        table.add_row(
            each["started_at"][:19].replace("T", " "),
            escape(each["request_id"]),
            escape(each["tenant"]),
            _model(each["tier"], each["variant"]),
            each["reason"] or each["outcome"],
            str(each["input_tokens"]),
            str(each["output_tokens"]),
            _ms(each["ttft_ms"]),
            _ms(each["duration_ms"]),
            usd(each["cost_nano_usd"]),
            str(each["attempts"]),
        )
    return table


def reviews_table(found: Iterable[Mapping[str, Any]]) -> Table:
    """Return the answers that wait for a person, one a row."""
    table = _table(("waits since (UTC)", "review", "request", "tenant", "tier", "outcome", "domain"))
    for each in found:
        table.add_row(
            each["started_at"][:19].replace("T", " "),
            each["review_id"],
            escape(each["request_id"]),
            escape(each["tenant"]),
            _model(each["tier"], each["variant"]),
            each["outcome"],
            each["domain"] or "-",
        )
    return table


def totals_table(by: str, groups: Iterable[Total], all_of_them: Total) -> Table:
    """Return the sums of each group and of all."""
    table = _table((by,), ("requests", "attempts", "amplification", "in", "out", "cost"))
    for total in groups:
        table.add_row(escape(total.group or "-"), *_sums(total))
    table.add_section()
    table.add_row("all", *_sums(all_of_them))
    return table


def _sums(total: Total) -> list[str]:
    amplification = total.amplification
    return [
        str(total.requests),
        str(total.attempts),
        "-" if amplification is None else f"{amplification:.3f}",
        str(total.input_tokens),
        str(total.output_tokens),
        usd(total.cost_nano_usd),
    ]


def total_record(total: Total) -> dict[str, Any]:
    """Return sums for a script."""
    record = {**asdict(total), "amplification": total.amplification}
    del record["group"]
    return record


def show_in_full(found: Iterable[Mapping[str, Any]]) -> None:
    """Print requests with everything that is known of them."""
    for each in found:
        facts = Table.grid(padding=(0, 2))
        for name, value in each.items():
            if name not in {"id", "attempts", "degradations"} and value not in {None, ""}:
                label = name.removesuffix("_nano_usd").removesuffix("_ms").replace("_", " ")
                facts.add_row(f"[dim]{label}[/dim]", escape(_fact(name, value)))
        tables = [facts, _attempts_table(each["attempts"])]
        if each["degradations"]:
            tables.append(_degradations_table(each["degradations"]))
        show(*tables)


def _fact(name: str, value: Any) -> str:
    if name == "cost_nano_usd":
        return usd(value)
    return _ms(value) if name.endswith("_ms") else str(value)


def _attempts_table(found: Iterable[Mapping[str, Any]]) -> Table:
    table = _table(
        ("", "purpose", "model", "outcome"),
        ("in", "out", "queued", "started", "first token", "duration", "allowed", "cost"),
        "attempts",
    )
    for each in found:
        table.add_row(
            str(each["position"]),
            each["purpose"] or "-",
            escape(f"{_model(each['tier'], each['variant'])} ({each['model']})"),
            " ".join(filter(None, (each["outcome"], each["error_reason"]))) or "-",
            str(each["input_tokens"]),
            f"{each['output_tokens']}{'' if each['usage_settled'] else ' so far'}",
            _ms(each["queued_ms"]),
            _ms(each["started_ms"]),
            _ms(each["ttft_ms"]),
            _ms(each["duration_ms"]),
            _ms(each["allowance_ms"]),
            usd(each["cost_nano_usd"]),
        )
    return table


def _degradations_table(found: Iterable[Mapping[str, Any]]) -> Table:
    table = _table(("reason", "from", "to"), ("tokens at most",), "degradations")
    for each in found:
        table.add_row(
            each["reason"] or "-",
            _model(each["from_tier"], each["from_variant"]),
            _model(each["to_tier"], each["to_variant"]),
            str(each["max_tokens"] or "-"),
        )
    return table


def comparisons_table(compared: Iterable[Comparison], tolerance_percent: float) -> Table:
    """Return what ledger and engines count."""
    table = _table(("model", "tokens"), ("ledger", "engine", "difference", "unsettled attempts"))
    for each in compared:
        colour = "green" if each.within(tolerance_percent) else "red"
        difference = each.difference_percent
        shown = "only in the ledger" if difference is None else f"{difference:+.3f} %"
        table.add_row(
            escape(each.model),
            each.kind,
            str(each.ledger),
            str(each.engine),
            f"[{colour}]{shown}[/{colour}]",
            str(each.unsettled_attempts),
        )
    return table


def comparison_record(each: Comparison, tolerance_percent: float) -> dict[str, Any]:
    """Return a comparison for a script."""
    return {
        **asdict(each),
        "difference_percent": each.difference_percent,
        "ok": each.within(tolerance_percent),
    }


def _model(tier: str | None, variant: str | None) -> str:
    return escape(f"{tier}/{variant}") if tier else "-"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
