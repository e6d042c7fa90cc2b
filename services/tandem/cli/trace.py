"""`tandem trace`: the story of one request. What the command needs is imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from tandem.cli.ledger import Database, Json, print_json, reading_or_exit


def trace(
    request_id: Annotated[
        str,
        typer.Argument(
            help="The request's identifier, the beginning of one, or the identifier of its trace.",
            show_default=False,
        ),
    ],
    database: Database,
    as_json: Json = False,
) -> None:
    """Tell the story of one request from the ledger: what it was taken for, why this tier, and where the time went.

    Clients choose identifiers and may repeat them: all requests of this one are told, the oldest first.

    Exit status: 0 told, 1 there is no such request or several begin so, 2 the ledger cannot be read or wrong usage.
    """
    from tandem.cli.trace_report import show_story, story_record
    from tandem.ledger.errors import PrefixAmbiguous, RequestUnknown
    from tandem.ledger.queries import requests_found

    try:
        with reading_or_exit(database) as connection:
            found = requests_found(connection, request_id)
    except (RequestUnknown, PrefixAmbiguous) as error:
        if as_json:
            matches = error.matches if isinstance(error, PrefixAmbiguous) else []
            print_json({"requests": [], "matches": matches})
        typer.echo(f"tandem trace: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        print_json({"requests": [story_record(each) for each in found]})
        return
    for each in found:
        show_story(each)
