"""A folder as the kubelet makes one of a ConfigMap: every file is a link through `..data`, which a change swaps."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path


class MountedConfigMap:
    """A mounted ConfigMap.

    Args:
        folder: where it is mounted; it must not exist.
        files: contents by file name.
    """

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        folder.mkdir()
        self.update(files)
        for name in files:
            (folder / name).symlink_to(Path("..data") / name)

    def update(self, files: Mapping[str, str]) -> None:
        """Replace all files in one step, as the kubelet does."""
        version = self._folder / f"..version_{next(self._numbers)}"
        version.mkdir()
        for name, content in files.items():
            (version / name).write_text(content, encoding="utf-8")
        swapped = self._folder / "..data_tmp"
        swapped.symlink_to(version.name)
        swapped.replace(self._folder / "..data")
