"""Documents in files, read again when a file changes; what cannot be used leaves what there was in place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger

from tandem.followed_file import FollowedFile
from tandem.yaml_document import DocumentError


class Revised(Protocol):
    """What has a revision."""

    @property
    def revision(self) -> str:
        """Changes when the meaning changes."""
        ...


T = TypeVar("T", bound=Revised)


class FollowedDocuments(Generic[T]):
    """What some files hold, taken together: they may be about each other, so all are read when one has changed.

    Args:
        files: where they are.
        read: reads all of them; its errors at the start are raised.
        log: is told what was read and what was refused.
    """

    def __init__(self, files: Sequence[Path], read: Callable[[], T], log: FilteringBoundLogger) -> None:
        self._followed = [FollowedFile(file) for file in files]
        self._read = read
        self._log = log
        self._takers: list[Callable[[T], None]] = []
        self.current = read()
        """What counts now."""
        self.error = ""
        """Why what is in the files now is not used, with line and column; empty: it is used."""

    def watch(self, take: Callable[[T], None]) -> None:
        """Call `take` with everything that counts from then on. All takers are called without a pause in between."""
        self._takers.append(take)

    async def refresh(self) -> None:
        """Read the files again if one has changed; if they are of no use, what was read before goes on to count."""
        if not any([each.changed() for each in self._followed]):  # noqa: C419 - each has to look
            return
        try:
            found = await asyncio.to_thread(self._read)
        except (DocumentError, OSError) as error:
            self.error = str(error)
            self._log.warning(
                "documents refused; those of before still count",
                stays=self.current.revision,
                problems=self.error.splitlines(),
            )
            return
        self.error, before = "", self.current.revision
        if found.revision != before:
            self.current = found
            for take in self._takers:
                take(found)
        self._log.info("documents read", revision=found.revision, before=before)
