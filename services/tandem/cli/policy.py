"""`tandem policy`: work with policy documents. What a command needs is imported when it runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tandem.catalogue import Catalogue
    from tandem.orchestrator.policy import Policy
    from tandem.yaml_document import DocumentError

app = typer.Typer(help="Work with policy documents.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `check` a command of its own: typer merges a lone command into its group."""


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="The policy.", exists=True, dir_okay=False, show_default=False)
    ],
    catalogue: Annotated[
        Path | None,
        typer.Option(help="The catalogue that it is for.", show_default="catalogue.yaml beside the policy"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a policy against its catalogue, and show every problem with its line and column.

    Exit status: 0 the policy can be used, 1 it has problems, 2 a file cannot be read.
    """
    from tandem.catalogue import load_catalogue
    from tandem.orchestrator.policy import load_policy
    from tandem.yaml_document import DocumentError

    catalogue_file = catalogue or file.with_name("catalogue.yaml")
    try:
        models = load_catalogue(catalogue_file)
        policy = load_policy(file, models)
    except DocumentError as error:
        typer.echo(_refusal(error) if as_json else str(error))
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"cannot read {error.filename}: {error.strerror}; name a file that is there", err=True)
        raise typer.Exit(2) from None
    typer.echo(_acceptance(file, policy, models) if as_json else f"OK {file}: {_summary(policy)}")


def _refusal(error: DocumentError) -> str:
    problems = [asdict(problem) for problem in error.problems]
    return json.dumps({"ok": False, "file": str(error.file), "problems": problems}, ensure_ascii=False)


def _acceptance(file: Path, policy: Policy, catalogue: Catalogue) -> str:
    found = {"revision": policy.revision, "catalogue_revision": catalogue.revision}
    return json.dumps({"ok": True, "file": str(file), "problems": [], **found}, ensure_ascii=False)


def _summary(policy: Policy) -> str:
    routing = policy.routing
    rules = f"; {len(policy.rules)} rules" if policy.rules else ""
    held = f", to hold {routing.strong} at {routing.target}" if routing.target else ""
    return (
        f"strategy {policy.strategy}; {routing.cheap} answers from a probability of {routing.threshold:g}, "
        f"else {routing.strong}{held}{rules}; {len(policy.fallbacks)} fallbacks; "
        f"{len(policy.entitlements.tenants)} tenants with tiers of their own; revision {policy.revision}"
    )
