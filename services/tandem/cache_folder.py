"""The one place that knows where Tandem keeps what it downloads and makes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the cache folder: TANDEM_CACHE_DIR, else XDG_CACHE_HOME/tandem, else ~/.cache/tandem.

    The folder need not exist yet. A relative XDG_CACHE_HOME is ignored, as its specification wants.
    """
    named = environ.get("TANDEM_CACHE_DIR")
    if named:
        return Path(named).expanduser().absolute()
    shared = Path(environ.get("XDG_CACHE_HOME", ""))
    if shared.is_absolute():
        return shared / "tandem"
    return Path.home() / ".cache" / "tandem"
