"""The folder of one run of Triton: its log, the backends that it loads, and the engines' books."""

from __future__ import annotations

import fcntl
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tandem.embedded.guard import remove_regions

REGION_PREFIX: Final = "tandem-"


class RunFolder:
    """A new folder below `runs`, locked as long as the run lives, so that later ones know what is left of dead runs."""

    def __init__(self, runs: Path) -> None:
        runs.mkdir(parents=True, exist_ok=True)
        self.path = runs / uuid.uuid4().hex[:12]
        with (runs / ".lock").open("wb") as creation:
            fcntl.flock(creation, fcntl.LOCK_EX)
            _remove_dead_runs(runs)
            self.path.mkdir()
            self._lock = (self.path / "lock").open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    @property
    def log(self) -> Path:
        """Where everything goes that Triton and its models print."""
        return self.path / "triton.log"

    @property
    def backends(self) -> Path:
        """Triton's backend directory."""
        return self.path / "backends"

    @property
    def books(self) -> Path:
        """Where the engines keep their books; they outlive restarts of Triton."""
        return self.path / "books"

    @property
    def region_prefix(self) -> str:
        """How the names of this run's shared memory begin."""
        return _region_prefix(self.path)

    def add_backends(self, folders: Sequence[Path]) -> None:
        """Copy backends into the backend directory; Triton refuses links that lead out of it."""
        for folder in folders:
            shutil.copytree(folder, self.backends / folder.name, ignore=shutil.ignore_patterns("__pycache__"))

    def add_library(self, folder: Path) -> None:
        """Copy Python packages to where every model finds them: beside Triton's own module for models."""
        shutil.copytree(
            folder,
            self.backends / "python",
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )

    def remove(self) -> None:
        """Remove the folder and what is left of the run's shared memory."""
        remove_regions(self.region_prefix)
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()

    def keep(self) -> None:
        """Let go of the folder, so that its log can be read until the next run begins."""
        self._lock.close()


def _region_prefix(run: Path) -> str:
    return f"{REGION_PREFIX}{run.name}-"


def _remove_dead_runs(runs: Path) -> None:
    for run in runs.iterdir():
        try:
            with (run / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_regions(_region_prefix(run))
                shutil.rmtree(run, ignore_errors=True)
        except OSError:
            continue  # alive
