"""`tandem calibrate`: thresholds for a share or a cost. What the command needs is imported when it runs."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from tandem.cli.moment import parse_moment
from tandem.deployment import deploy_folder
from tandem.state_folder import embedded_ledger

if TYPE_CHECKING:
    from tandem.calibration.run import Result
    from tandem.catalogue import Catalogue
    from tandem.orchestrator.policy import Policy

LEAST: int = 200


def calibrate(
    *,
    target_share: Annotated[
        float | None,
        typer.Option(help="Part of the requests that the strong tier is to answer.", min=0.0, max=1.0),
    ] = None,
    max_cost_per_1k: Annotated[
        float | None, typer.Option(help="US dollars that 1,000 requests may cost on average.", min=0.000001)
    ] = None,
    traffic: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            show_default="the calibration sample of the artifact",
            help="JSON lines of text, messages, or signals from `tandem classify --jsonl`; r1_right and pro_right may "
            "stand beside them.",
        ),
    ] = None,
    from_ledger: Annotated[
        bool, typer.Option("--from-ledger", help="Take the requests of the ledger as traffic.")
    ] = False,
    database: Annotated[
        str,
        typer.Option(
            default_factory=embedded_ledger,
            envvar="TANDEM_ORCHESTRATOR_LEDGER",
            show_default="the ledger of `tandem up`",
            help="SQLAlchemy URL of that ledger.",
        ),
    ],
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_moment, metavar="AGE|TIME", help="Only requests of the ledger since: 7d, or a time."
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, show_default="the deployment's", help="The policy."),
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, show_default="catalogue.yaml beside the policy", help="The prices."
        ),
    ] = None,
    output_tokens: Annotated[
        int | None,
        typer.Option(
            min=1, show_default="the ledger's mean, else 256", help="Tokens of an answer, for the cost."
        ),
    ] = None,
    least: Annotated[
        int, typer.Option(help="Requests that a language or domain needs for a threshold of its own.", min=30)
    ] = LEAST,
    overall: Annotated[
        bool, typer.Option("--overall", help="No thresholds of their own for languages and domains.")
    ] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the thresholds into the policy.")] = False,
    hold: Annotated[
        bool,
        typer.Option("--hold", help="With --write: write the target too, so that a live control holds it."),
    ] = False,
    plots: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder for the reliability diagrams; outcomes must be known."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find the thresholds that give a share of the strong tier, or a cost, on given traffic.

    Exit status: 0 found, 1 the target cannot be reached or the traffic does not do, 2 wrong usage or a file cannot be
    used.
    """
    from tandem.calibration.run import Aim, Source, Unusable, run
    from tandem.cli.calibrate_report import as_object, show_result

    if (target_share is None) == (max_cost_per_1k is None):
        raise typer.BadParameter("give --target-share or --max-cost-per-1k, one of the two")
    if traffic is not None and from_ledger:
        raise typer.BadParameter("give --traffic or --from-ledger, not both")
    if since is not None and not from_ledger:
        raise typer.BadParameter("has a meaning only together with --from-ledger", param_hint="--since")
    if hold and not write:
        raise typer.BadParameter("has a meaning only together with --write", param_hint="--hold")
    policy_file = policy or deploy_folder() / "policy.yaml"
    known_policy, known_catalogue = _documents(
        policy_file, catalogue or policy_file.with_name("catalogue.yaml")
    )
    aim = Aim(target_share, max_cost_per_1k, least, output_tokens, slices=not overall)
    source = Source(traffic, database if from_ledger else None, since)
    try:
        result = run(aim, source, known_policy.routing, known_catalogue)
    except Unusable as error:
        typer.echo(f"tandem calibrate: {error}", err=True)
        raise typer.Exit(1) from None
    if plots:
        _draw(result, plots)
    if write:
        _write(result, policy_file, known_catalogue, hold=hold)
    written = str(policy_file) if write else None
    if as_json:
        typer.echo(json.dumps(as_object(result, written), ensure_ascii=False))
    else:
        show_result(result, known_policy.routing, written)


def _documents(policy: Path, catalogue: Path) -> tuple[Policy, Catalogue]:
    from tandem.catalogue import load_catalogue
    from tandem.orchestrator.policy import load_policy
    from tandem.yaml_document import DocumentError

    try:
        models = load_catalogue(catalogue)
        return load_policy(policy, models), models
    except (DocumentError, OSError) as error:
        _fail(error)


def _draw(result: Result, folder: Path) -> None:
    from tandem.calibration.reliability import draw

    if not result.reliability:
        typer.echo(
            "tandem calibrate: no diagram: no outcome of R1 is known; put r1_right beside the requests of the "
            "traffic, or book feedback",
            err=True,
        )
        raise typer.Exit(1)
    try:
        for name, found in result.reliability.items():
            draw(found, name, folder / f"reliability_{name.replace(' ', '_')}.png")
    except ImportError:
        typer.echo("tandem calibrate: diagrams need matplotlib; pip install matplotlib", err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        _fail(error)


def _write(result: Result, policy: Path, catalogue: Catalogue, *, hold: bool) -> None:
    from tandem.cli.policy_file import Thresholds, write_thresholds
    from tandem.yaml_document import DocumentError

    rows = [
        {key: value for key, value in (("language", cut.language), ("domain", cut.domain)) if value}
        | {"threshold": cut.threshold.value}
        for cut in result.chosen
    ]
    target = result.aim.target() if hold else None
    try:
        write_thresholds(policy, catalogue, Thresholds(result.overall.threshold.value, rows, target))
    except (DocumentError, OSError) as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    typer.echo(f"tandem calibrate: {error}", err=True)
    raise typer.Exit(2) from None
