"""`tandem train fusion`: the weights of votes. What the command needs is imported when it runs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer


def fusion(
    *,
    data: Annotated[
        Path,
        typer.Option(envvar="TANDEM_DATA", exists=True, file_okay=False, help="Folder of recorded answers."),
    ],
    out: Annotated[Path, typer.Option(dir_okay=False, help="Where the artifact is written, as JSON.")],
) -> None:
    """Learn from recorded answers how reliable each voice is, and whose agreement is worth what.

    Exit status: 0 written, 2 wrong usage or something cannot be read or written.
    """
    if missing := [name for name in ("pyarrow", "scipy") if find_spec(name) is None]:
        _fail(
            f"Training needs what the extra `training` installs: {', '.join(missing)} cannot be found. "
            "Try: pip install 'tandem[training]'"
        )
    from tandem.training.fusion.recordings import DataMissing
    from tandem.training.fusion.train import train

    try:
        artifact = train(data, out, lambda text: typer.echo(text, err=True))
    except (DataMissing, OSError) as error:
        _fail(str(error))
    print(f"{artifact.revision}  {out}  {len(artifact.panels)} panels, {len(artifact.voices)} voices")


def _fail(text: str) -> NoReturn:
    typer.echo(f"tandem train fusion: {text}", err=True)
    raise typer.Exit(2) from None
