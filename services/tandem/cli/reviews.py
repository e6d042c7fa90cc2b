"""`tandem reviews`: the answers that wait for a person. What the command needs is imported when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tandem.cli.ledger import Database, Json, Since, Tenant, print_json, reading_or_exit

if TYPE_CHECKING:
    from tandem.ledger.reviews import Decision


def reviews(
    database: Database,
    approve: Annotated[
        str | None, typer.Option(metavar="ID", help="Settle this review: the answer was right.")
    ] = None,
    correct: Annotated[
        str | None, typer.Option(metavar="ID", help="Settle this review: the answer had to be corrected.")
    ] = None,
    since: Since = None,
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(help="Most reviews to show.", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """Show the answers that wait for a person, who waits longest first, or settle one.

    What a person says is booked as feedback on the answer, too.

    Exit status: 0 shown or settled, 1 there is no such review or it is settled already, 2 the ledger cannot be used or
    wrong usage.
    """
    if approve is not None and correct is not None:
        raise typer.BadParameter("give --approve or --correct, one of the two")
    if approve is not None:
        _settle(database, approve, "approved", as_json=as_json)
    elif correct is not None:
        _settle(database, correct, "corrected", as_json=as_json)
    else:
        _show(database, since, tenant, limit, as_json=as_json)


def _show(database: str, since: Since, tenant: str | None, limit: int, *, as_json: bool) -> None:
    from tandem.cli.ledger_report import reviews_table, show
    from tandem.ledger.queries import Which
    from tandem.ledger.reviews import count_pending, pending

    which = Which(since, tenant)
    with reading_or_exit(database) as connection:
        found, count = pending(connection, which, limit), count_pending(connection, which)
    if as_json:
        print_json({"reviews": found, "pending": count})
        return
    show(reviews_table(found))
    typer.echo(f"{count} pending.")


def _settle(database: str, review_id: str, decision: Decision, *, as_json: bool) -> None:
    from tandem.ledger.reviews import PENDING, settle

    with reading_or_exit(database) as connection:
        before = settle(connection, review_id, decision)
    settled = before == PENDING
    if as_json:
        print_json({"review_id": review_id, "settled": settled, "status": decision if settled else before})
    elif settled:
        typer.echo(f"{review_id}: {decision}.")
    if before is None:
        typer.echo(
            f"tandem reviews: no review {review_id} in the ledger; it is booked when the answer has ended",
            err=True,
        )
    elif not settled:
        typer.echo(f"tandem reviews: {review_id} is {before} already; it stays so", err=True)
    raise typer.Exit(0 if settled else 1)
