"""The artifact that is current: read at the start, and again when its file changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tandem.classifier.artifact import load_artifact
from tandem.classifier.errors import ArtifactUnusable
from tandem.classifier.judge import Judge
from tandem.telemetry.logs import logger

POLL_SECONDS: Final = 2.0
"""Time between two looks at the file. It may be on a mounted volume, of whose changes no signal tells."""

_log = logger("classifier")


class CurrentArtifact:
    """The judge by the artifact in a file; a request that has begun ends by the judge it began with.

    Raises:
        ArtifactUnusable: the file does not hold an artifact.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        # Noted before the file is read: what is written meanwhile is read again.
        self._stamp = _stamp(file)
        self.judge = self._read()

    async def follow(self) -> None:
        """Take over every change of the file; runs until it is cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Read the file again if it has changed; if it is of no use, the artifact of before stays."""
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.judge = await asyncio.to_thread(self._read)
        except ArtifactUnusable as error:
            _log.error(
                "artifact refused; that of before stays", stays=self.judge.artifact.revision, why=str(error)
            )

    def _read(self) -> Judge:
        judge = Judge(load_artifact(self._file))
        _log.info("artifact read", file=str(self._file), revision=judge.artifact.revision)
        return judge


@asynccontextmanager
async def current_artifact(file: Path) -> AsyncIterator[CurrentArtifact]:
    """Give the artifact in a file and keep it current.

    Raises:
        ArtifactUnusable: the file does not hold an artifact.
    """
    current = CurrentArtifact(file)
    follower = asyncio.create_task(current.follow())
    try:
        yield current
    finally:
        follower.cancel()
        await asyncio.wait([follower])


def _stamp(file: Path) -> tuple[int, ...]:
    """Return what changes when the file does; nothing if it is not there."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ino, found.st_size)
