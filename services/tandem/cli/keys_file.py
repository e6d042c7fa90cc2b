"""Adds a key's hash to a keys file; what else the file says, comments included, stays."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from tandem.cli.in_place import change, round_trip
from tandem.serving.keys import KeyEntry, load_keys


def line(entry: KeyEntry) -> str:
    """Return what a keys file has for a key under `keys`."""
    text = StringIO()
    round_trip().dump(CommentedSeq([_flow(entry)]), text)
    return text.getvalue().rstrip("\n")


def add_entry(file: Path, entry: KeyEntry) -> None:
    """Add a key to a file, in one step; a file that is not there is made, readable for its owner alone.

    Raises:
        DocumentError: the file does not hold keys.
        OSError: it cannot be read or written.
    """
    change(file, lambda target: _with(target, entry), load_keys)


def _with(file: Path, entry: KeyEntry) -> Any:
    """Return the document of a file with one more key."""
    tree = CommentedMap(version=1, keys=CommentedSeq())
    if file.exists():
        load_keys(file)
        tree = round_trip().load(file.read_text(encoding="utf-8-sig"))
    tree["keys"].append(_flow(entry))
    return tree


def _flow(entry: KeyEntry) -> CommentedMap:
    mapping = CommentedMap(entry.model_dump(exclude_none=True))
    mapping.fa.set_flow_style()
    return mapping
