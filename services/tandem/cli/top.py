"""`tandem top`: what a running deployment does now. What the command needs is imported when it runs."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from tandem.cli.ledger import print_json

if TYPE_CHECKING:
    from tandem.cli.top_scrape import Replicas

HINT = "; metrics are where `tandem up --metrics HOST:PORT` or TANDEM_ORCHESTRATOR_METRICS_LISTEN says"


def top(
    metrics: Annotated[
        list[str],
        typer.Option(
            help="Metrics address of an orchestrator, HOST:PORT or a URL; once for each replica.",
            show_default=False,
        ),
    ],
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2, max=3600.0)] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and leave.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a look.")] = False,
) -> None:
    """Show a running deployment until Ctrl-C: tiers, times to the first token, share, degradations, money per hour.

    Several orchestrators are added up. Rates are those since the look before; at the first, or with --once, since the
    orchestrators' start. A replica that does not answer is named, and counts again when it is back.

    Exit status: 0 shown, 1 with --once: no orchestrator answered, 2 wrong usage.
    """
    from tandem.cli.top_scrape import Replicas

    try:
        replicas = Replicas(metrics)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--metrics") from error
    if once:
        _look(replicas, interval, as_json=as_json)
        raise typer.Exit(0 if replicas.up else 1)
    # So that a terminal is put in order whichever way it ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if as_json or not sys.stdout.isatty():
            _repeat(replicas, interval, as_json=as_json)
        _watch(replicas, interval)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _look(replicas: Replicas, interval: float, *, as_json: bool) -> None:
    from datetime import datetime

    from tandem.cli.top_figures import figures
    from tandem.cli.top_report import console, record, screen

    replicas.scrape(_patience(interval))
    found, at = figures(replicas), datetime.now().astimezone()
    if as_json:
        print_json(record(found, replicas.all, at))
    else:
        output = console()
        output.print(screen(found, replicas.all, at, output.width))
    for replica in replicas.all:
        if replica.now is None:
            typer.echo(f"tandem top: {replica.url} does not answer: {replica.error}{HINT}", err=True)


def _repeat(replicas: Replicas, interval: float, *, as_json: bool) -> NoReturn:
    while True:
        _look(replicas, interval, as_json=as_json)
        time.sleep(interval)


def _watch(replicas: Replicas, interval: float) -> NoReturn:
    from datetime import datetime

    from rich.live import Live

    from tandem.cli.top_figures import figures
    from tandem.cli.top_report import screen

    with Live(screen=True, auto_refresh=False) as live:
        while True:
            replicas.scrape(_patience(interval))
            found, at = figures(replicas), datetime.now().astimezone()
            live.update(screen(found, replicas.all, at, live.console.width), refresh=True)
            time.sleep(interval)


def _patience(interval: float) -> float:
    """Return how long a replica is waited for."""
    return min(max(interval, 1.0), 5.0)
