"""The fusion artifact that is current: read at the start, and again when its file changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tandem.followed_artifact import FollowedArtifact
from tandem.followed_file import refreshing
from tandem.fusion.artifact import load_artifact
from tandem.fusion.errors import ArtifactUnusable
from tandem.fusion.fuse import NOTHING_LEARNED, Learnt, Weighing
from tandem.telemetry.logs import logger

_log = logger("fusion")


class CurrentLearnt(FollowedArtifact[Learnt]):
    """What the artifact in a file says; satisfies `Weighing`.

    Raises:
        ArtifactUnusable: the file does not hold an artifact.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file, lambda found: Learnt(load_artifact(found)), ArtifactUnusable, _log)

    @property
    def learned(self) -> Learnt:
        """What is known now."""
        return self._ready


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
