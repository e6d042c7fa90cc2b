"""`tandem fetch`: prepares everything that `tandem up` needs from elsewhere."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from tandem.embedded.source import DEFAULT_SOURCE


def fetch(
    model: Annotated[
        list[str] | None,
        typer.Option(help="smollm2, a GGUF file, or hf:ORG/REPO/FILE.gguf; may be given several times."),
    ] = None,
    only_triton: Annotated[
        bool, typer.Option("--only-triton", help="No weights: for an image that gets them from a volume.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the paths as one JSON object.")] = False,
) -> None:
    """Fetch Triton and the weights into the cache folder, once; `tandem up` then starts without the network.

    Exit status: 0 all is there, 1 something could not be fetched or this machine cannot run it.
    """
    from tandem.cache_folder import cache_folder
    from tandem.embedded.environment import prepare
    from tandem.embedded.errors import EmbeddedError
    from tandem.embedded.progress import progress_on
    from tandem.embedded.weights import prepare_weights

    cache, progress = cache_folder(), progress_on(sys.stderr)
    try:
        environment = prepare(cache, progress)
        sources = [] if only_triton else model or [DEFAULT_SOURCE]
        weights = {source: str(prepare_weights(source, cache, progress)) for source in sources}
    except EmbeddedError as error:
        typer.echo(f"tandem fetch: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        paths = {"cache": str(cache), "triton": str(environment.folder), "weights": weights}
        typer.echo(json.dumps(paths, indent=2))
        return
    typer.echo(f"Triton: {environment.folder}")
    for source, folder in weights.items():
        typer.echo(f"{source}: {folder}")
