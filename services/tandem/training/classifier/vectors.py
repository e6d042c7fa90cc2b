"""Keeps the vectors of texts in a file, so that each text is encoded once, however often one trains."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from tandem.classifier.encoder import Encoder, EncoderSpec, Vector

KEY_BYTES: Final = 32
SAY_EVERY: Final = 1000


def default_folder() -> Path:
    """Return where vectors are kept: `tandem/vectors` in XDG_CACHE_HOME, else in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tandem" / "vectors"


class KeptVectors:
    """An encoder that encodes what it has not encoded before; one process at a time.

    The file is a row of SHA-256 of a text and its vector; what a killed process left of the last one is cut off. It
    bears the digest of the encoder, so that another one begins anew.
    """

    def __init__(self, encoder: Encoder, folder: Path, say: Callable[[str], None]) -> None:
        self._encoder = encoder
        self._say = say
        self._new = 0
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(encoder.spec.model_dump_json().encode()).hexdigest()[:16]
        self._file = folder / f"{encoder.spec.name}-{name}.bin"
        self._row = np.dtype([("key", f"V{KEY_BYTES}"), ("vector", "<f4", (encoder.spec.dimensions,))])
        self._known = self._read()

    @property
    def spec(self) -> EncoderSpec:
        """Which encoder it is."""
        return self._encoder.spec

    def encode(self, text: str) -> Vector:
        """Return the vector of a text; shape [dimensions]."""
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._encoder.encode(text)
            with self._file.open("ab") as file:
                file.write(key + found.astype("<f4").tobytes())
            self._new += 1
            if self._new % SAY_EVERY == 0:
                self._say(f"{self._new} texts encoded, {len(self._known)} known")
        return found

    def _read(self) -> dict[bytes, Vector]:
        if not self._file.exists():
            return {}
        whole = self._file.stat().st_size // self._row.itemsize
        os.truncate(self._file, whole * self._row.itemsize)
        rows = np.fromfile(self._file, self._row)
        return {row["key"].tobytes(): row["vector"].astype(np.float32) for row in rows}
