"""The artifact that is current: read at the start, and again when its file changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tandem.classifier.artifact import load_artifact
from tandem.classifier.errors import ArtifactUnusable
from tandem.classifier.judge import Judge
from tandem.followed_artifact import FollowedArtifact
from tandem.followed_file import refreshing
from tandem.telemetry.logs import logger

_log = logger("classifier")


class CurrentArtifact(FollowedArtifact[Judge]):
    """The judge by the artifact in a file; a request that has begun ends by the judge it began with.

    Raises:
        ArtifactUnusable: the file does not hold an artifact.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file, lambda found: Judge(load_artifact(found)), ArtifactUnusable, _log)

    @property
    def judge(self) -> Judge:
        """The judge of now."""
        return self._ready


@asynccontextmanager
async def current_artifact(file: Path) -> AsyncIterator[CurrentArtifact]:
    """Give the artifact in a file and keep it current.

    Raises:
        ArtifactUnusable: the file does not hold an artifact.
    """
    current = CurrentArtifact(file)
    async with refreshing(current.refresh):
        yield current
