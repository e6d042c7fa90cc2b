"""The artifact that is current: read at the start, and again when its file changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tandem.classifier.artifact import load_artifact
from tandem.classifier.errors import ArtifactUnusable
from tandem.classifier.judge import Judge
from tandem.followed_file import FollowedFile, refreshing
from tandem.telemetry.logs import logger

_log = logger("classifier")


class CurrentArtifact:
    """The judge by the artifact in a file; a request that has begun ends by the judge it began with.

    Raises:
        ArtifactUnusable: the file does not hold an artifact.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._followed = FollowedFile(file)
        self.judge = self._read()

    async def refresh(self) -> None:
        """Read the file again if it has changed; if it is of no use, the artifact of before stays."""
        if not self._followed.changed():
            return
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
    async with refreshing(current.refresh):
        yield current
