"""The lines of Triton's log that say why it failed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

READ_BYTES: Final = 64 * 1024
SHOWN_LINES: Final = 15
HARMLESS: Final = (
    "Failed to initialize NVML",
    "DCGM",
    "CudaDriverHelper",
    "pinned system memory",
    "CUDA memory pool",
)
"""What Triton says on every machine without a GPU."""


def log_tail(log: Path) -> str:
    """Return the last lines of the log without its tables and what it says on every machine; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - READ_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    telling = [
        line
        for line in lines
        if line.strip() and line[0] not in "+|" and not any(w in line for w in HARMLESS)
    ]
    return "\n".join(telling[-SHOWN_LINES:])
