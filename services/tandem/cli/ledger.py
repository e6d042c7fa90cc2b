"""`tandem ledger`: what has been booked. What a command needs is imported when it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer

from tandem.cli.moment import parse_moment
from tandem.state_folder import embedded_ledger

app = typer.Typer(help="Look at the ledger: every attempt of every request.", invoke_without_command=True)


class By(StrEnum):
    """What totals are grouped by."""

    tenant = "tenant"
    tier = "tier"
    outcome = "outcome"
    day = "day"


class Judge(StrEnum):
    """Who says whether an answer was right."""

    user = "user"
    judge = "judge"
    human = "human"


Database = Annotated[
    str,
    typer.Option(
        default_factory=embedded_ledger,
        envvar="TANDEM_ORCHESTRATOR_LEDGER",
        show_default="the ledger of `tandem up`",
        help="SQLAlchemy URL of the ledger.",
    ),
]
Since = Annotated[
    datetime | None,
    typer.Option(
        parser=parse_moment,
        metavar="AGE|TIME",
        help="Only requests that started since: 15m, 2h, 7d, or 2026-11-24T09:30 (UTC unless it says otherwise).",
    ),
]
Tenant = Annotated[str | None, typer.Option(help="Only requests of this tenant.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.callback()
def newest(
    context: typer.Context,
    database: Database,
    since: Since = None,
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(help="Most requests to show.", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """Show the newest requests, or what a command below shows.

    Exit status: 0 shown, 2 the ledger cannot be read or wrong usage.
    """
    if context.invoked_subcommand:
        _refuse_options_before(context)
        return
    from tandem.cli.ledger_report import requests_table, show
    from tandem.ledger import queries

    with reading_or_exit(database) as connection:
        found = queries.newest(connection, queries.Which(since, tenant), limit)
    print_json({"requests": found}) if as_json else show(requests_table(found))


@app.command()
def totals(
    database: Database,
    by: Annotated[By, typer.Option(help="What to group by.")] = By.tenant,
    since: Since = None,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Show sums of requests, attempts, tokens and cost.

    By tier, a request counts for the tier that answered it, an attempt and its tokens for the tier that it ran on.

    Exit status: 0 shown, 2 the ledger cannot be read or wrong usage.
    """
    from tandem.cli.ledger_report import show, total_record, totals_table
    from tandem.ledger import queries

    which = queries.Which(since, tenant)
    with reading_or_exit(database) as connection:
        groups, all_of_them = queries.totals(connection, which, by.value), queries.total(connection, which)
    if as_json:
        records = [{by.value: each.group, **total_record(each)} for each in groups]
        print_json({"groups": records, "total": total_record(all_of_them)})
    else:
        show(totals_table(by.value, groups, all_of_them))


@app.command(name="show")
def show_request(
    request_id: Annotated[str, typer.Argument(help="The request's identifier.", show_default=False)],
    database: Database,
    as_json: Json = False,
) -> None:
    """Show every attempt of one request, in the order of their start.

    Clients choose identifiers and may repeat them: all requests of this one are shown, the oldest first.

    Exit status: 0 shown, 1 there is no such request, 2 the ledger cannot be read or wrong usage.
    """
    from tandem.cli.ledger_report import show_in_full
    from tandem.ledger import queries

    with reading_or_exit(database) as connection:
        found = queries.requests_named(connection, request_id)
    print_json({"requests": found}) if as_json else show_in_full(found)
    if not found:
        typer.echo(
            f"tandem ledger: no request {request_id} in the ledger; it is booked when it has ended", err=True
        )
        raise typer.Exit(1)


@app.command()
def check(
    database: Database,
    metrics: Annotated[
        list[str],
        typer.Option(
            help="Metrics address of a Triton, http://HOST:8002/metrics; once for each.", show_default=False
        ),
    ],
    since: Since = None,
    tolerance: Annotated[
        float, typer.Option(help="Largest difference that passes, in percent.", min=0.0)
    ] = 0.1,
    as_json: Json = False,
) -> None:
    """Compare the ledger's tokens with those that the engines counted themselves.

    An engine counts from its own start: name that with --since, unless the ledger is as young.

    Exit status: 0 they agree, 1 they differ, 2 one of them cannot be read or wrong usage.
    """
    from tandem.cli.ledger_report import comparison_record, comparisons_table, show
    from tandem.ledger import queries
    from tandem.ledger.checking import MetricsUnreadable, compare, fetch_counts

    try:
        counted = fetch_counts(metrics)
    except MetricsUnreadable as error:
        _fail(error)
    with reading_or_exit(database) as connection:
        booked = queries.tokens_by_model(connection, queries.Which(since))
    compared = compare(booked, counted)
    agree = all(each.within(tolerance) for each in compared)
    if as_json:
        records = [comparison_record(each, tolerance) for each in compared]
        print_json({"ok": agree, "tolerance_percent": tolerance, "models": records})
    else:
        show(comparisons_table(compared, tolerance))
    raise typer.Exit(0 if agree else 1)


@app.command(name="feedback")
def give_feedback(
    database: Database,
    request_id: Annotated[str | None, typer.Option("--request", help="The request's identifier.")] = None,
    right: Annotated[
        bool | None, typer.Option("--right/--wrong", help="Whether the answer was right.", show_default=False)
    ] = None,
    tier: Annotated[
        str | None, typer.Option(help="Whose answer is meant.", show_default="the one that was given")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose request it was.")] = None,
    source: Annotated[Judge, typer.Option(help="Who says so.")] = Judge.human,
    file: Annotated[
        typer.FileText | None,
        typer.Option(
            "--from", help="JSON lines of request_id and right or score (-1 to 1); - is standard input."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Book whether an answer was right: one with --request, or many with --from.

    Exit status: 0 booked, 1 some request is not in the ledger, 2 the ledger cannot be used or wrong usage.
    """
    from tandem.ledger.feedback import RIGHT, WRONG, Feedback, FeedbackInvalid, add_feedback, read_feedback

    if (file is None) == (request_id is None) or (request_id is not None and right is None):
        raise typer.BadParameter("give --request with --right or --wrong, or --from FILE")
    try:
        if file is not None:
            given = list(read_feedback(file, source.value))
        else:
            given = [Feedback(request_id or "", RIGHT if right else WRONG, source.value, tier, tenant)]
    except FeedbackInvalid as error:
        _fail(error)
    with reading_or_exit(database) as connection:
        unknown = add_feedback(connection, given)
    if as_json:
        print_json({"booked": len(given) - len(unknown), "unknown": unknown})
    else:
        typer.echo(f"{len(given) - len(unknown)} of {len(given)} booked.")
    for each in unknown:
        typer.echo(
            f"tandem ledger: no request {each} in the ledger; it is booked when it has ended", err=True
        )
    raise typer.Exit(1 if unknown else 0)


@app.command()
def prune(
    database: Database,
    before: Annotated[
        datetime,
        typer.Option(
            parser=parse_moment,
            metavar="AGE|TIME",
            help="Forget what started before: 90d, or a time.",
            show_default=False,
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,
    as_json: Json = False,
) -> None:
    """Forget old requests: their attempts, degradations, prompts, and feedback as old. Without --yes only count.

    Exit status: 0 done, 1 only counted, 2 the ledger cannot be used or wrong usage.
    """
    from tandem.ledger import pruning

    with reading_or_exit(database) as connection:
        count = pruning.prune(connection, before) if yes else pruning.older(connection, before)
    until = f"{before.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if as_json:
        print_json({"before": before.astimezone(UTC).isoformat(), "requests": count, "deleted": yes})
    elif yes:
        typer.echo(f"{count} requests from before {until} are forgotten.")
    else:
        typer.echo(f"{count} requests are from before {until}. None was forgotten: add --yes to do it.")
    raise typer.Exit(0 if yes else 1)


def _refuse_options_before(context: typer.Context) -> None:
    """Options of the list would be ignored by another command."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--json" if name == "as_json" else f"--{name}"
            raise typer.BadParameter(
                f"write it after the command: tandem ledger {context.invoked_subcommand} {option}",
                param_hint=option,
            )


@contextmanager
def reading_or_exit(database: str) -> Iterator[Any]:
    """Give a connection to the ledger; say what is wrong with it and leave with status 2."""
    from tandem.ledger.errors import LedgerUnusable
    from tandem.ledger.schema import reading

    try:
        with reading(database) as connection:
            yield connection
    except LedgerUnusable as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    typer.echo(f"tandem ledger: {error}", err=True)
    raise typer.Exit(2) from error


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(value, ensure_ascii=False))
