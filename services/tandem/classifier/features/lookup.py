"""Finds which hashes of a text are in a sorted table of hashes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features.scan import Hashes, Scan

Rows = NDArray[np.intp]

HASH_BITS: Final = 64
SPARSE_BITS: Final = 3
"""The filter has at least 2^3 places for each key, so that it lets few hashes pass that are none."""


class Lookup:
    """Sorted keys, before them a filter over the upper bits of a hash, which most words do not pass."""

    def __init__(self, keys: Hashes) -> None:
        self.keys = keys
        self._shift = np.uint64(HASH_BITS - (len(keys).bit_length() + SPARSE_BITS))
        self._filter = np.zeros(1 << (HASH_BITS - int(self._shift)), np.bool_)
        self._filter[keys >> self._shift] = True

    def rows(self, hashes: Hashes) -> Rows:
        """Return the row of every hash that is among the keys; shape [found]."""
        likely: Hashes = hashes[self._filter[hashes >> self._shift]]
        if not len(likely):
            return np.empty(0, np.intp)
        at = self.keys.searchsorted(likely)
        found: Rows = at[self.keys.take(at, mode="clip") == likely]
        return found


def sequences(scan: Scan, longest: int) -> Hashes:
    """Return the hashes of all sequences of one to `longest` words."""
    return np.concatenate([scan.words(size) for size in range(1, longest + 1)])
