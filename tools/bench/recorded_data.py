"""Where the benches find recorded answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

DATA: Final = Path(
    os.environ.get("TANDEM_DATA", Path(__file__).resolve().parents[2] / ".." / "shared" / "data")
)
"""TANDEM_DATA, else ../shared/data beside this checkout."""
