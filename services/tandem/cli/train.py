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


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@app.command(name="classifier")
def classifier(
    data: Annotated[
        Path,
        typer.Option(envvar="TANDEM_DATA", exists=True, file_okay=False, help="Folder of recorded answers."),
    ],
    out: Annotated[Path, typer.Option(dir_okay=False, help="Where the artifact is written.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Sentence encoder that the artifact wants beside its own features, such as `minilm`."
        ),
    ] = None,
) -> None:
    """Train the artifact of the classifier from recorded answers of models."""
    try:
        from tandem.classifier.encoder import EncoderUnusable, named_encoder
        from tandem.training.classifier.data import DataMissing
        from tandem.training.classifier.train import train
        from tandem.training.classifier.vectors import KeptVectors, default_folder
    except ImportError as error:
        typer.echo(
            f"Training needs what the extra `training` installs: {error}. Try: pip install 'tandem[training]'",
            err=True,
        )
        raise typer.Exit(2) from None
    try:
        vectors = KeptVectors(named_encoder(encoder), default_folder(), _say) if encoder else None
        revision = train(data, out, _say, vectors)
    except (DataMissing, EncoderUnusable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    print(f"{revision}  {out}  {out.stat().st_size / 2**20:.1f} MiB")
