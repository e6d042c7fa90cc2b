"""The fusion artifact that is current: read at the start, and again when its file changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tandem.followed_file import FollowedFile, refreshing
from tandem.fusion.artifact import load_artifact
from tandem.fusion.errors import ArtifactUnusable
from tandem.fusion.fuse import NOTHING_LEARNED, Learnt, Weighing
from tandem.telemetry.logs import logger

_log = logger("fusion")


class CurrentLearnt:
    """What the artifact in a file says; satisfies `Weighing`.

    Raises:
        ArtifactUnusable: the file does not hold an artifact.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._followed = FollowedFile(file)
        self.learned = self._read()

    async def refresh(self) -> None:
        """Read the file again if it has changed; if it is of no use, the artifact of before stays."""
        if not self._followed.changed():
            return
        try:
            self.learned = await asyncio.to_thread(self._read)
        except ArtifactUnusable as error:
            stays = self.learned.artifact.revision
            _log.error("artifact refused; that of before stays", stays=stays, why=str(error))

    def _read(self) -> Learnt:
        learned = Learnt(load_artifact(self._file))
        _log.info("artifact read", file=str(self._file), revision=learned.artifact.revision)
        return learned


@asynccontextmanager
async def current_weighing(file: Path | None) -> AsyncIterator[Weighing]:
    """Give what was learned, and keep it current; without a file: nothing was.

    Raises:
        ArtifactUnusable: the file does not hold an artifact.
    """
    if file is None:
        yield NOTHING_LEARNED
        return
    current = CurrentLearnt(file)
    async with refreshing(current.refresh):
        yield current
