"""The options that say what is deployed: of every command that counts machines without one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Values = Annotated[
    list[Path] | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="Values of the chart; several are merged as Helm does.",
        metavar="FILE",
    ),
]
CatalogueFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="A model catalogue, in place of values.")
]
Node = Annotated[str, typer.Option(help="Type of node, in place of what the values say.")]
