"""The weights of all heads: one table over the buckets, in bytes, and one over the dense numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LARGEST: Final = 127
_LEAST: Final = 1e-12

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Weights:
    """Linear weights; every head is a column, so that one pass over the features serves them all (`Sums`).

    A weight of a bucket is `rows[bucket] * buckets[bucket, column] * columns[column]`.
    """

    buckets: NDArray[np.int8]
    rows: Floats
    columns: Floats
    dense: Floats
    """Weights of the standardised dense numbers; shape [dense, columns]."""
    mean: Floats
    scale: Floats
    """What is subtracted from a dense number, and what it is then divided by; shape [dense]."""
    limit: float
    """Largest standardised dense number that counts."""
    bias: Floats
    frequencies: Floats
    """Directions of the waves over the standardised dense numbers; shape [dense, waves]; there may be none."""
    phases: Floats
    waves: Floats
    """Weights of the waves; shape [waves, columns]."""


def in_bytes(weights: NDArray[np.floating]) -> tuple[NDArray[np.int8], Floats, Floats]:
    """Return weights of shape [buckets, columns] as bytes, with the scale of every row and of every column.

    A column is scaled by its root mean square, a row by its largest weight then: so a rare n-gram with small weights
    keeps as many digits as a frequent one with large weights. The scales of rows are numbers that 16 bits can hold.
    """
    columns = np.maximum(np.sqrt(np.square(weights, dtype=np.float64).mean(axis=0)), _LEAST)
    scaled = weights / columns
    largest = np.abs(scaled).max(axis=1)
    unit = max(float(largest.max()), _LEAST) / LARGEST
    rows = (largest / LARGEST / unit).astype(np.float16).astype(np.float64)
    steps = np.where(rows > 0, rows, np.inf)[:, None] * unit
    buckets = np.clip(np.rint(scaled / steps), -LARGEST, LARGEST).astype(np.int8)
    return buckets, rows.astype(np.float32), (columns * unit).astype(np.float32)
