"""`tandem wait`: until a deployment can answer."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from tandem.cli.peer import LOCAL, Ca, Cert, Key, ServerName, Target, tls


def wait(
    tiers: Annotated[
        list[str] | None, typer.Argument(help="Tiers that must be able to answer; none: any one.")
    ] = None,
    target: Target = LOCAL,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = "",
    seconds: Annotated[float, typer.Option(help="Longest wait.", min=0.0)] = 60.0,
) -> None:
    """Wait until an orchestrator is healthy, as its gRPC health service says.

    Exit status: 0 it is, 1 it was not in time.
    """
    from tandem.embedded.system import wait_healthy

    wanted = tuple(tiers or [""])
    if not asyncio.run(wait_healthy(target, wanted, seconds, tls(ca, cert, key, server_name))):
        what = ", ".join(tiers) if tiers else "the orchestrator"
        typer.echo(
            f"tandem wait: {what} at {target} did not become healthy within {seconds:g} s; the log of the "
            "orchestrator and of inference says why",
            err=True,
        )
        raise typer.Exit(1)
