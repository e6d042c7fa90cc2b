"""Changes YAML documents of operators in place: what else the file says, comments included, stays."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def round_trip() -> YAML:
    """Return a reader and writer that keeps comments and layout."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 1000
    yaml.preserve_quotes = True
    return yaml


def change(file: Path, tree_of: Callable[[Path], Any], check: Callable[[Path], object]) -> None:
    """Write a document in one step: whoever reads the file finds all of it as before, or all of it as it is now.

    A file that is not there is made, readable for its owner alone; one that is there keeps owner and mode.

    Args:
        file: the document.
        tree_of: gives what is to be written, from the file as it is. Nobody else changes the file meanwhile.
        check: raises what is wrong with a document that was written.

    Raises:
        OSError: it cannot be read or written.
    """
    # A link stays one.
    target = file.resolve()
    with _alone_in(target.parent):
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        written = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                round_trip().dump(tree_of(target), stream)
                stream.flush()
                os.fsync(stream.fileno())
            check(written)
            if target.exists():
                _keep_access(target, written)
            written.replace(target)
        finally:
            written.unlink(missing_ok=True)


def _keep_access(before: Path, after: Path) -> None:
    found = before.stat()
    after.chmod(found.st_mode & 0o777)
    os.chown(after, found.st_uid, found.st_gid)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let no other command change files of this folder meanwhile: one of the changes would be lost."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
