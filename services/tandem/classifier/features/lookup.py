"""Finds which hashes of a text are in a sorted table of hashes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features.scan import Hashes, Scan

Rows = NDArray[np.intp]


def rows_of(keys: Hashes, hashes: Hashes) -> Rows:
    """Return the row of every hash that is among the keys, which are sorted and differ; shape [found]."""
    if not len(keys):
        return np.empty(0, np.intp)
    at = keys.searchsorted(hashes)
    found: Rows = at[keys.take(at, mode="clip") == hashes]
    return found


def sequences(scan: Scan, longest: int) -> Hashes:
    """Return the hashes of all sequences of one to `longest` words."""
    if longest == 1:
        return scan.hashes
    return np.concatenate([scan.words(size) for size in range(1, longest + 1)])
