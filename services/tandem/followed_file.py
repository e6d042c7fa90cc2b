"""A file that is read again when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

POLL_SECONDS: Final = 2.0
"""Time between two looks at a file. It may be on a mounted volume, of whose changes no signal tells."""


class FollowedFile:
    """Tells when a file has changed. Made before the file is read: what is written meanwhile is a change."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp = _stamp(file)

    def changed(self) -> bool:
        """Whether the file is another one than at the last look; each change is told once."""
        before, self._stamp = self._stamp, _stamp(self._file)
        return self._stamp != before


@asynccontextmanager
async def refreshing(refresh: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Call `refresh` again and again while the context is open."""
    follower = asyncio.create_task(_again(refresh))
    try:
        yield
    finally:
        follower.cancel()
        await asyncio.wait([follower])


async def _again(refresh: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        await refresh()


def _stamp(file: Path) -> tuple[int, ...]:
    """Return what changes when the file does; nothing if it is not there."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ino, found.st_size)
