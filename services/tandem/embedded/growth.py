"""Shows how far a download is that says nothing itself: by the size of the folder that it fills."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tandem.embedded.progress import Report

LOOK_SECONDS: Final = 0.2


@contextmanager
def growth_shown(folder: Path, report: Report) -> Iterator[None]:
    """Report the folder's size in bytes again and again while the context is open."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            report(folder_bytes(folder))

    watcher = threading.Thread(target=look, name="growth", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def folder_bytes(folder: Path) -> int:
    """Return the size of all files in a folder that may be changing meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(parent, name).lstat().st_size
    return total
