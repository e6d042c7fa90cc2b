"""`tandem train`: makes what is learned from data. What the commands need is imported when they run."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from tandem.cli.train_fusion import fusion
from tandem.cli.train_gate import gate

if TYPE_CHECKING:
    from tandem.training.classifier.own_measure import Measured

app = typer.Typer(help="Train what is learned from data.", no_args_is_help=True)


@app.callback()
def _train() -> None:
    """Train what is learned from data."""


app.command(name="gate")(gate)
app.command(name="fusion")(fusion)


@app.command(name="classifier")
def classifier(
    *,
    data: Annotated[
        Path | None,
        typer.Option(envvar="TANDEM_DATA", exists=True, file_okay=False, help="Folder of recorded answers."),
    ] = None,
    from_ledger: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Adapt an artifact to the conversations and verdicts of this ledger, in place of --data.",
        ),
    ] = None,
    artifact: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            show_default="the shipped one",
            help="With --from-ledger: the artifact that is adapted.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(dir_okay=False, help="Where the artifact is written.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="With --data: sentence encoder that the artifact wants beside its own features, such as `minilm`."
        ),
    ] = None,
    choose: Annotated[
        bool,
        typer.Option(
            "--choose",
            help="With --data: choose the hyper-parameters of routing on the data, by cross-validation over subjects.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --from-ledger: print one JSON object.")
    ] = False,
) -> None:
    """Train the artifact of the classifier from recorded answers of models, or adapt one to your own traffic.

    Exit status: 0 written, 1 what was learned from the ledger is not better, or too little (nothing is written),
    2 wrong usage or something cannot be read.
    """
    if missing := [name for name in ("pyarrow", "scipy", "sklearn") if find_spec(name) is None]:
        _fail(
            f"Training needs what the extra `training` installs: {', '.join(missing)} cannot be found. "
            "Try: pip install 'tandem[training]'"
        )
    if from_ledger is not None and (encoder or choose):
        raise typer.BadParameter("--encoder and --choose have a meaning only together with --data")
    if from_ledger is not None:
        _adapt(from_ledger, artifact, out, as_json=as_json)
    elif artifact or as_json:
        raise typer.BadParameter("--artifact and --json have a meaning only together with --from-ledger")
    elif data is None:
        raise typer.BadParameter("give --data (or TANDEM_DATA) or --from-ledger")
    else:
        _learn(data, out, encoder, choose=choose)


def _learn(data: Path, out: Path, encoder: str | None, *, choose: bool) -> None:
    from tandem.classifier.encoder import EncoderUnusable, named_encoder
    from tandem.classifier.errors import ArtifactUnusable
    from tandem.training.classifier.choosing import NothingToChoose
    from tandem.training.classifier.data import DataMissing
    from tandem.training.classifier.train import train
    from tandem.training.classifier.vectors import KeptVectors, default_folder

    _check_writable(out)
    try:
        vectors = KeptVectors(named_encoder(encoder), default_folder(), _say) if encoder else None
        revision = train(data, out, _say, vectors, choosing=choose)
    except (DataMissing, EncoderUnusable, NothingToChoose, ArtifactUnusable, OSError) as error:
        _fail(str(error))
    print(f"{revision}  {out}  {out.stat().st_size / 2**20:.1f} MiB")


def _adapt(url: str, artifact: Path | None, out: Path, *, as_json: bool) -> None:
    from tandem.classifier.errors import ArtifactUnusable
    from tandem.classifier.settings import DEFAULT_ARTIFACT
    from tandem.ledger.errors import LedgerUnusable
    from tandem.training.classifier.own_traffic import NotBetter, TooFewLabels, learn

    _check_writable(out)
    try:
        made = learn(url, artifact or DEFAULT_ARTIFACT, out, _say)
    except NotBetter as refused:
        _show(refused.measured, None, as_json=as_json)
        _fail(str(refused), 1)
    except TooFewLabels as refused:
        _fail(str(refused), 1)
    except (LedgerUnusable, ArtifactUnusable, OSError) as error:
        _fail(str(error))
    _show(made.measured, made.revision, as_json=as_json)
    if not as_json:
        print(f"{made.revision}  {out}  adapted from {made.before}")
    _say(
        "Its scores differ from before: run `tandem calibrate --from-ledger --since …` once it has judged requests."
    )


def _show(measured: Measured, revision: str | None, *, as_json: bool) -> None:
    from tandem.training.classifier.own_report import as_object, table

    print(json.dumps(as_object(measured, revision)) if as_json else table(measured))


def _check_writable(out: Path) -> None:
    """Find out before training, which takes minutes, that its result cannot be written."""
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        _fail(
            f"{out} cannot be written: {out.parent} is no folder that you may write to; name another one by --out"
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(text: str, status: int = 2) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(status) from None
