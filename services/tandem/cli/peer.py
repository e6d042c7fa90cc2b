"""The options of every command that talks to an orchestrator: where it is, and how to speak TLS with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from tandem.client import Client
    from tandem.serving.tls import Tls

LOCAL: Final = "127.0.0.1:50051"
_PANEL: Final = "Connection"

Target = Annotated[str, typer.Option(help="Address of the orchestrator.", rich_help_panel=_PANEL)]
Ca = Annotated[
    Path | None,
    typer.Option(
        envvar="TANDEM_CA",
        dir_okay=False,
        rich_help_panel=_PANEL,
        help="Speak TLS with an orchestrator whose certificate comes from one of the authorities in this file.",
    ),
]
Cert = Annotated[
    Path | None,
    typer.Option(
        envvar="TANDEM_CERT",
        dir_okay=False,
        rich_help_panel=_PANEL,
        help="Certificate to show to an orchestrator that asks for one (mTLS).",
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(
        envvar="TANDEM_KEY", dir_okay=False, rich_help_panel=_PANEL, help="Key of that certificate."
    ),
]
ServerName = Annotated[
    str,
    typer.Option(
        envvar="TANDEM_SERVER_NAME",
        show_default=False,
        rich_help_panel=_PANEL,
        help="Name that the orchestrator's certificate must have, instead of the host of its address.",
    ),
]


@dataclass(frozen=True, slots=True)
class Peer:
    """The orchestrator that a command talks to."""

    target: str
    tls: Tls | None = None

    def client(self, tenant: str | None = None, api_key: str | None = None) -> Client:
        """Return a client of it.

        Raises:
            InvalidRequest: the API key has characters that no key has.
        """
        from tandem.client import Client

        return Client(self.target, tenant, api_key, self.tls)


def tls(ca: Path | None, cert: Path | None, key: Path | None, server_name: str) -> Tls | None:
    """Return how to speak TLS, as the options say; None: in plaintext.

    Raises:
        BadParameter: the files are of no use.
    """
    from tandem.serving.tls import FollowedTls, Tls, TlsUnusable

    try:
        chosen = Tls(ca, cert, key, server_name)
        if not chosen.named():
            return None
        FollowedTls(chosen)
    except TlsUnusable as error:
        raise typer.BadParameter(str(error), param_hint="--ca, --cert, --key") from error
    return chosen
