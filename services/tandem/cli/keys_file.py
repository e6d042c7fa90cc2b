"""Adds a key's hash to a keys file; what else the file says, comments included, stays."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from tandem.serving.keys import KeyEntry, load_keys


def line(entry: KeyEntry) -> str:
    """Return what a keys file has for a key under `keys`."""
    text = StringIO()
    _yaml().dump(CommentedSeq([_flow(entry)]), text)
    return text.getvalue().rstrip("\n")


def add_entry(file: Path, entry: KeyEntry) -> None:
    """Add a key to a file, in one step: whoever reads the file finds all of it as before, or all of it with the key.

    A file that is not there is made, readable for its owner alone; one that is there keeps owner and mode.

    Raises:
        DocumentError: the file does not hold keys.
        OSError: it cannot be read or written.
    """
    # A link stays one.
    target = file.resolve()
    with _alone_in(target.parent):
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        written = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                _yaml().dump(_with(target, entry), stream)
                stream.flush()
                os.fsync(stream.fileno())
            load_keys(written)
            if target.exists():
                _keep_access(target, written)
            written.replace(target)
        finally:
            written.unlink(missing_ok=True)


def _with(file: Path, entry: KeyEntry) -> Any:
    """Return the document of a file with one more key."""
    tree = CommentedMap(version=1, keys=CommentedSeq())
    if file.exists():
        load_keys(file)
        tree = _yaml().load(file.read_text(encoding="utf-8-sig"))
    tree["keys"].append(_flow(entry))
    return tree


def _flow(entry: KeyEntry) -> CommentedMap:
    mapping = CommentedMap(entry.model_dump(exclude_none=True))
    mapping.fa.set_flow_style()
    return mapping


def _yaml() -> YAML:
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 1000
    yaml.preserve_quotes = True
    return yaml


def _keep_access(before: Path, after: Path) -> None:
    found = before.stat()
    after.chmod(found.st_mode & 0o777)
    os.chown(after, found.st_uid, found.st_gid)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let no other `tandem keys new` change files of this folder meanwhile: one of the keys would be lost."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
