"""`tandem train`: makes an artifact of the classifier. What the command needs is imported when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Train what is learned from data.", no_args_is_help=True)


@app.callback()
def _train() -> None:
    """Train what is learned from data."""


@app.command(name="classifier")
def classifier(
    data: Annotated[
        Path,
        typer.Option(envvar="TANDEM_DATA", exists=True, file_okay=False, help="Folder of recorded answers."),
    ],
    out: Annotated[Path, typer.Option(dir_okay=False, help="Where the artifact is written.")],
) -> None:
    """Train the artifact of the classifier from recorded answers of models."""
    try:
        from tandem.training.classifier.data import DataMissing
        from tandem.training.classifier.train import train
    except ImportError as error:
        typer.echo(
            f"Training needs what the extra `training` installs: {error}. Try: pip install 'tandem[training]'",
            err=True,
        )
        raise typer.Exit(2) from None
    try:
        revision = train(data, out, lambda text: print(text, file=sys.stderr, flush=True))
    except DataMissing as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    print(f"{revision}  {out}  {out.stat().st_size / 2**20:.1f} MiB")
