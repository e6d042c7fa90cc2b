"""The weights of the embedded models: one GGUF file for each precision, made once in the cache folder."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Final

from tandem.embedded.errors import EmbeddedError
from tandem.embedded.fetching import fetch_gguf
from tandem.embedded.once import check_space, make_once
from tandem.embedded.progress import Progress
from tandem.embedded.source import parse_source

MANIFEST: Final = "weights.json"


def prepare_weights(source: str | None, cache: Path, progress: Progress) -> Path:
    """Return a folder with F16.gguf and Q8_0.gguf of a model, made now if it is not there.

    Args:
        source: `smollm2` or None, the path of a GGUF file, or `hf:ORGANISATION/REPOSITORY/FILE.gguf`. Both files carry
            the precision of the source, not more.
        cache: the cache folder.
        progress: shows what takes long.

    Raises:
        EmbeddedError: the source could not be fetched, is damaged, or the disk is full. Nothing half-made is left.
    """
    model = parse_source(source)

    def build(partial: Path) -> None:
        with tempfile.TemporaryDirectory(dir=partial) as scratch:
            _make_precisions(fetch_gguf(model, Path(scratch), cache, progress), partial, progress)
        sizes = {file.name: file.stat().st_size for file in partial.glob("*.gguf")}
        manifest = {"source": source or model.key, "bytes": sizes}
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")

    return make_once(cache / "weights" / model.key, build, progress, valid=_whole)


def _make_precisions(gguf: Path, folder: Path, progress: Progress) -> None:
    if not importlib.util.find_spec("gguf"):
        raise EmbeddedError("Preparing weights needs the package gguf: pip install 'tandem[embedded]'.")
    from tandem.embedded.requantise import (  # gguf is an extra
        PRECISIONS,
        open_gguf,
        output_bytes,
        requantise,
    )

    with progress.step(f"Reading {gguf.name}"):
        reader = open_gguf(gguf)
    expected = {precision: output_bytes(reader, precision) for precision in PRECISIONS}
    check_space(folder, sum(expected.values()), f"Writing {gguf.name} at the precisions of the variants")
    for precision, total_bytes in expected.items():
        with progress.step(f"Writing {precision.name}", total_bytes) as report:
            requantise(reader, folder / f"{precision.name}.gguf", precision, report)


def _whole(folder: Path) -> bool:
    """Return whether every file is there with the size that it was written with."""
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["bytes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False
