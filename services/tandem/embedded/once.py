"""Makes a folder of the cache once, whole or not at all, whoever else tries at the same time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tandem.embedded.errors import CacheUnusable
from tandem.embedded.progress import Progress


def make_once(
    target: Path, build: Callable[[Path], None], progress: Progress, valid: Callable[[Path], bool]
) -> Path:
    """Return `target`, built by `build` in a folder beside it and then renamed, unless a valid one is there.

    A lock file keeps a second process waiting, which then finds the folder. A target that is not `valid` is replaced.

    Raises:
        CacheUnusable: the cache cannot be written to, or the disk is full.
    """
    if target.is_dir() and valid(target):
        return target
    with _explained(target), _locked(target, progress):
        if target.is_dir() and valid(target):
            return target
        _remove_leftovers(target)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
        try:
            build(partial)
            # A rename that outlives the data it names would be a half-written cache after a power cut.
            os.sync()
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return target


def check_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        CacheUnusable: fewer than `needed_bytes` are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise CacheUnusable(
            f"{what} needs {needed_bytes / 1e6:.0f} MB in the cache folder, {free / 1e6:.0f} MB are free there. "
            "Make room, or name another folder in TANDEM_CACHE_DIR."
        )


@contextmanager
def _locked(target: Path, progress: Progress) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("wb") as lock:
        _acquire(lock, target, progress)
        yield


def _acquire(lock: IO[bytes], target: Path, progress: Progress) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with progress.step(f"Waiting for another process that prepares {target.name}"):
            fcntl.flock(lock, fcntl.LOCK_EX)


def _remove_leftovers(target: Path) -> None:
    for leftover in target.parent.glob(f".{target.name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"The disk is full: {target.parent} has no room. Make room"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            reason = f"The cache folder {target.parent} cannot be written to ({error.strerror}). Give it to this user"
        else:
            raise
        raise CacheUnusable(f"{reason}, or name another folder in TANDEM_CACHE_DIR.") from error
