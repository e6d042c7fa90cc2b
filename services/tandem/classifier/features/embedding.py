"""The mean vector of the words of a text, from a fixed table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features.lookup import Lookup, sequences
from tandem.classifier.features.scan import Hashes, Scan

_LEAST_NORM: Final = 1e-6


@dataclass(frozen=True)
class Embedding:
    """Vectors of words: sorted hashes, rows of int8 and the scale of each row, which carries its weight too."""

    keys: Hashes
    vectors: NDArray[np.int8]
    scales: NDArray[np.float32]
    longest: int = 1
    """Most words of a key: 2 when pairs of ideographs have vectors."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.keys)

    def mean(self, scan: Scan) -> NDArray[np.float32]:
        """Return the weighted sum of the vectors of the words, brought to length 1; zeros if none is known."""
        rows = self._lookup.rows(sequences(scan, self.longest))
        total = self.scales[rows] @ self.vectors[rows].astype(np.float32)
        norm = float(np.sqrt(np.square(total).sum()))
        return total / np.float32(max(norm, _LEAST_NORM))
