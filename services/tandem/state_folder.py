"""The one place that knows where Tandem keeps what it must not lose."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder: TANDEM_STATE_DIR, else XDG_STATE_HOME/tandem, else ~/.local/state/tandem.

    The folder need not exist yet. A relative XDG_STATE_HOME is ignored, as its specification wants.
    """
    named = environ.get("TANDEM_STATE_DIR")
    if named:
        return Path(named).expanduser().absolute()
    shared = Path(environ.get("XDG_STATE_HOME", ""))
    if shared.is_absolute():
        return shared / "tandem"
    return Path.home() / ".local" / "state" / "tandem"


def embedded_ledger(environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL of the ledger that `tandem up` keeps unless it is told otherwise."""
    return f"sqlite:///{state_folder(environ) / 'ledger.sqlite'}"
