"""`tandem train gate`: the weights of a cascade's gate. What the command needs is imported when it runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from tandem.cli.moment import parse_moment
from tandem.deployment import deploy_folder

if TYPE_CHECKING:
    from tandem.calibration.gate import Fitted, Quality


def gate(
    *,
    from_ledger: Annotated[str, typer.Option(metavar="URL", help="Ledger with verdicts on drafts.")],
    since: Annotated[
        datetime | None,
        typer.Option(parser=parse_moment, metavar="AGE|TIME", help="Only requests since: 7d, or a time."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, show_default="the deployment's", help="The policy."),
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, show_default="catalogue.yaml beside the policy"),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the weights into the policy.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit the gate of the cascade to verdicts on drafts (`tandem ledger feedback --tier r1`).

    Exit status: 0 fitted (and written, with --write), 1 too few verdicts, or not better than the policy's gate (nothing
    is written), 2 wrong usage or a file cannot be used.
    """
    from tandem.calibration.gate import TooFewVerdicts, fit_gate
    from tandem.catalogue import load_catalogue
    from tandem.cli.policy_file import write_gate
    from tandem.ledger.errors import LedgerUnusable
    from tandem.ledger.labelled import drafts
    from tandem.ledger.queries import Which
    from tandem.ledger.schema import reading
    from tandem.orchestrator.policy import load_policy
    from tandem.yaml_document import DocumentError

    file = policy or deploy_folder() / "policy.yaml"
    try:
        models = load_catalogue(catalogue or file.with_name("catalogue.yaml"))
        known = load_policy(file, models)
        with reading(from_ledger) as connection:
            found = list(drafts(connection, Which(since), known.routing.cheap))
        fitted = fit_gate(found, known.cascade.gate, known.cascade.threshold)
        if write and fitted.better:
            write_gate(file, models, fitted.gate)
    except TooFewVerdicts as error:
        _fail(str(error), 1)
    except (DocumentError, LedgerUnusable, OSError) as error:
        _fail(str(error), 2)
    written = str(file) if write and fitted.better else None
    typer.echo(_as_json(fitted, written) if as_json else _table(fitted, written))
    if not fitted.better:
        _fail("it is not better than the policy's gate on verdicts that it did not learn from", 1)


def _as_json(fitted: Fitted, written: str | None) -> str:
    found = {"before": asdict(fitted.before), "after": asdict(fitted.after), "better": fitted.better}
    return json.dumps(
        {"gate": fitted.gate.model_dump(), "drafts": fitted.drafts, **found, "written": written}
    )


def _table(fitted: Fitted, written: str | None) -> str:
    weights = ", ".join(f"{name}: {value:g}" for name, value in fitted.gate.model_dump().items())
    return (
        f"{fitted.drafts} drafts with a verdict\n"
        f"the policy's gate  {_words(fitted.before)}\n"
        f"the fitted one     {_words(fitted.after)}, on verdicts that it did not learn from\n"
        f"gate: {{{weights}}}{f'  written to {written}' if written else ''}"
    )


def _words(quality: Quality) -> str:
    return (
        f"log loss {quality.log_loss:.4f}, sends on {quality.found:.1%} of the wrong drafts and "
        f"{quality.false_alarms:.1%} of the right ones"
    )


def _fail(text: str, status: int) -> NoReturn:
    typer.echo(f"tandem train gate: {text}", err=True)
    raise typer.Exit(status) from None
