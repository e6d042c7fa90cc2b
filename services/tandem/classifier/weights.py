"""The weights of all heads: one table over the buckets, in bytes, and one over the dense numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features import Features

LARGEST: Final = 127
_LEAST: Final = 1e-12

Columns = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Weights:
    """Linear weights; every head is a column, so that one pass over the features serves them all.

    A weight of a bucket is `rows[bucket] * buckets[bucket, column] * columns[column]`.
    """

    buckets: NDArray[np.int8]
    rows: NDArray[np.float32]
    columns: Columns
    dense: NDArray[np.float32]
    """Weights of the standardised dense numbers; shape [dense, columns]."""
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    """What is subtracted from a dense number, and what it is then divided by; shape [dense]."""
    limit: float
    """Largest standardised dense number that counts."""
    bias: Columns
    frequencies: NDArray[np.float32]
    """Directions of the waves over the standardised dense numbers; shape [dense, waves]; there may be none."""
    phases: NDArray[np.float32]
    waves: NDArray[np.float32]
    """Weights of the waves; shape [waves, columns]."""

    def score(self, features: Features) -> Columns:
        """Return the sum of every column; shape [columns]."""
        standard = self.standardised(features)
        return self.ngrams(features) + standard @ self.dense + self.form(self.angles(standard)) + self.bias

    def ngrams(self, features: Features) -> Columns:
        """Return what the n-grams add to every column."""
        weighed = features.values * self.rows.take(features.indices)
        found = self.buckets.take(features.indices, axis=0).astype(np.float32)
        sums: Columns = (weighed @ found) * self.columns
        return sums

    def standardised(self, features: Features) -> NDArray[np.float32]:
        """Return the dense numbers as the weights take them."""
        standard: NDArray[np.float32] = (features.dense - self.mean) / self.scale
        np.minimum(standard, np.float32(self.limit), out=standard)
        np.maximum(standard, np.float32(-self.limit), out=standard)
        return standard

    def angles(self, standard: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return where standardised dense numbers of shape [..., dense] stand on the waves; shape [..., waves]."""
        angles: NDArray[np.float32] = standard @ self.frequencies
        return angles

    def form(self, angles: NDArray[np.float32]) -> Columns:
        """Return what the waves add to every column.

        Their products approximate a radial kernel (Rahimi and Recht, "Random features for large-scale kernel
        machines", 2007), so that linear weights over them draw curves over the form of a text.
        """
        sums: Columns = np.cos(angles + self.phases) @ self.waves
        return sums


def in_bytes(weights: NDArray[np.floating]) -> tuple[NDArray[np.int8], NDArray[np.float32], Columns]:
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
