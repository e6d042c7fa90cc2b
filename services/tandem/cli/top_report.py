"""How `tandem top` looks on a terminal, and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tandem.cli.top_figures import Figures, Model, Requests, Share
from tandem.cli.top_scrape import Replica

PIPE_WIDTH: Final = 130
"""Columns where no terminal says how many there are."""
WIDE: Final = 126
"""Columns from which everything is told of a model."""
BAR: Final = 10
"""Characters of a bar that shows how many places are taken."""
MOST_DEGRADATIONS: Final = 6
Row = tuple[str, Text]
COLOURS: Final = {"closed": "green", "half_open": "yellow", "open": "bold red"}


def console() -> Console:
    """Return where it is shown."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def screen(found: Figures, replicas: Sequence[Replica], at: datetime, columns: int) -> RenderableType:
    """Return everything as one screen of so many columns."""
    return Group(
        _head(found, replicas, at),
        _models(found.models, wide=columns >= WIDE),
        _facts(found),
    )


def record(found: Figures, replicas: Sequence[Replica], at: datetime) -> dict[str, Any]:
    """Return everything for a script."""
    told = [
        {"url": replica.url, "up": replica.now is not None, "error": replica.error} for replica in replicas
    ]
    return {"at": at.astimezone(UTC).isoformat(), "replicas": told, **asdict(found)}


def _head(found: Figures, replicas: Sequence[Replica], at: datetime) -> Text:
    up = sum(replica.now is not None for replica in replicas)
    window = "rates since the start" if found.since_start else "rates since the time before"
    policies = f"policy {', '.join(found.policies)}" if found.policies else ""
    words = [f"{at:%H:%M:%S}", f"{up} of {len(replicas)} orchestrators", policies, window]
    text = Text("  ·  ".join(filter(None, words)), style="" if up == len(replicas) else "yellow")
    for replica in replicas:
        if replica.now is None:
            text.append(f"\n{replica.url} is away: {replica.error}", style="red")
    return text


def _models(models: Sequence[Model], *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    shown = [(name, cell) for name, (cell, only_wide) in COLUMNS.items() if wide or not only_wide]
    for name, _ in shown:
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    for model in models:
        table.add_row(*(cell(model) for _, cell in shown))
    return table


def _facts(found: Figures) -> Table:
    rows = [*_requests(found.requests), _share(found.share), *_degradations(found), _ledger(found)]
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name, style="dim"), value)
    return table


def _requests(requests: Requests) -> list[Row]:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in requests.by_outcome.items())
    times = (
        f"first token {_ms(requests.ttft_p50_ms)} / {_ms(requests.ttft_p95_ms)}, whole answer "
        f"{_ms(requests.duration_p50_ms)} / {_ms(requests.duration_p95_ms)} (p50 / p95)"
    )
    money = f"${requests.usd_per_hour:.4f} an hour, ${requests.cost_nano_usd / 1e9:.6f} since the start"
    rows = (
        ("requests", f"{requests.per_second:.1f}/s   {requests.count} since the start: {outcomes or 'none'}"),
        ("in time", f"{_percent(requests.in_time_ratio, 2)}   degraded {_percent(requests.degraded_ratio)}"),
        ("times", times),
        ("money", f"{money}, {requests.output_tokens_per_second:.0f} tokens/s made"),
    )
    return [(name, Text(value)) for name, value in rows]


def _share(share: Share) -> Row:
    words = ", ".join(f"{tier} {_percent(part)}" for tier, part in share.measured.items()) or "-"
    if share.target is not None:
        reach = ", out of reach" if share.out_of_reach else ""
        words += f"   strong tier asked {_percent(share.strong)} (target {_percent(share.target)}{reach})"
    configured = share.configured_threshold
    if share.threshold is not None and configured is not None:
        words += f"   threshold {share.threshold:.2f} (configured {configured:.2f})"
    elif configured is not None:
        words += f"   threshold {configured:.2f}"
    return "share", Text(words, style="yellow" if share.out_of_reach else "")


def _degradations(found: Figures) -> Iterator[Row]:
    for each in found.degradations[:MOST_DEGRADATIONS]:
        tiers = " → ".join(each_tier for each_tier in (each.from_tier, each.to_tier) if each_tier)
        words = f"{each.reason.replace('_', ' ')} {tiers}: {each.per_minute:.1f} a minute, {each.count} since the start"
        yield "degraded", Text(words, style="yellow" if each.per_minute else "")


def _ledger(found: Figures) -> Row:
    words = f"{found.ledger_lag} entries behind, {found.ledger_dropped} lost"
    return "ledger", Text(words, style="red" if found.ledger_dropped else "")


def _places(model: Model) -> Text:
    return Text(f"{model.in_flight}/{model.limit}")


def _bar(model: Model) -> Text:
    taken = min(BAR, round(BAR * model.in_flight / model.limit)) if model.limit else 0
    of = "" if model.limit == model.limit_max else f" of {model.limit_max}"
    return Text.assemble(("█" * taken, "green"), ("░" * (BAR - taken), "dim"), of)


def _breaker(model: Model) -> Text:
    return Text(model.breaker.replace("_", " "), style=COLOURS[model.breaker])


def _warned(rate: float) -> Text:
    return Text(f"{rate:.1f}", style="red" if rate else "")


def _ms(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f} ms"


def _percent(part: float | None, digits: int = 0) -> str:
    return "-" if part is None else f"{part:.{digits}%}"


LEFT: Final = frozenset(("model", "breaker", ""))
COLUMNS: Final[Mapping[str, tuple[Callable[[Model], str | Text], bool]]] = {
    "model": (lambda model: escape(f"{model.tier}/{model.variant}"), False),
    "breaker": (_breaker, False),
    "under way": (_places, False),
    "": (_bar, True),
    "queued": (lambda model: str(model.queued), False),
    "tries/s": (lambda model: f"{model.attempts_per_second:.1f}", False),
    "failed/s": (lambda model: _warned(model.failed_per_second), False),
    "shed/s": (lambda model: _warned(model.shed_per_second), True),
    "TTFT p50": (lambda model: _ms(model.ttft_p50_ms), False),
    "p95": (lambda model: _ms(model.ttft_p95_ms), False),
    "TPOT": (lambda model: _ms(model.tpot_p50_ms, 1), True),
    "tokens/s": (lambda model: f"{model.output_tokens_per_second:.0f}", True),
    "$/hour": (lambda model: f"{model.usd_per_hour:.2f}", True),
}
"""What is told of a model, and whether only a wide terminal has room for it."""
