"""An artifact in a file, read again when the file changes; one that is of no use leaves that of before in place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger

from tandem.followed_file import FollowedFile


class Revised(Protocol):
    """What has a revision."""

    @property
    def revision(self) -> str:
        """Tells it from every other."""
        ...


class Ready(Protocol):
    """An artifact, ready to be used."""

    @property
    def artifact(self) -> Revised:
        """It."""
        ...


R = TypeVar("R", bound=Ready)


class FollowedArtifact(Generic[R]):
    """What the artifact in a file gives.

    Args:
        file: where it is.
        read: reads it; its errors at the start are raised.
        unusable: the error of a file that holds none.
        log: is told what was read and what was refused.
    """

    def __init__(
        self, file: Path, read: Callable[[Path], R], unusable: type[Exception], log: FilteringBoundLogger
    ) -> None:
        self._file, self._load, self._unusable, self._log = file, read, unusable, log
        self._followed = FollowedFile(file)
        self._ready = self._read()

    async def refresh(self) -> None:
        """Read the file again if it has changed; if it is of no use, the artifact of before stays."""
        if not self._followed.changed():
            return
        try:
            self._ready = await asyncio.to_thread(self._read)
        except self._unusable as error:
            stays = self._ready.artifact.revision
            self._log.error("artifact refused; that of before stays", stays=stays, why=str(error))

    def _read(self) -> R:
        ready = self._load(self._file)
        self._log.info("artifact read", file=str(self._file), revision=ready.artifact.revision)
        return ready
