"""The processes in which Triton's Python backend runs the models.

Triton does not notice that one of them died: model and server stay ready, and every request fails.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

PROGRAM: Final = "triton_python_backend_stub"


def live_stubs(triton_pid: int) -> dict[str, int]:
    """Return how many live processes each model has below this Triton."""
    counts: dict[str, int] = defaultdict(int)
    for child in _children(triton_pid):
        model = _model_of(child)
        if model:
            counts[model] += 1
    return dict(counts)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        return found
    for thread in threads:
        try:
            found += map(int, (thread / "children").read_text(encoding="ascii").split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _model_of(pid: int) -> str:
    """Return the model that a process runs; empty for another program, and for one that is dead but not yet reaped."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    if len(arguments) < 2 or Path(arguments[0]).name != PROGRAM:
        return ""
    return Path(arguments[1]).parents[1].name  # MODEL/VERSION/model.py
