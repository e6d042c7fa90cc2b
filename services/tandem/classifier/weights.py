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

    def score(self, features: Features) -> Columns:
        """Return the sum of every column; shape [columns]."""
        return self.ngrams(features) + self.standardised(features) @ self.dense + self.bias

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


def in_bytes(weights: NDArray[np.floating]) -> tuple[NDArray[np.int8], NDArray[np.float32], Columns]:
    """Return weights of shape [buckets, columns] as bytes, with the scale of every row and of every column.

    A column is scaled by its root mean square, a row by its largest weight then: so a rare n-gram with small weights
    keeps as many digits as a frequent one with large weights.
    """
    columns = np.maximum(np.sqrt(np.square(weights, dtype=np.float64).mean(axis=0)), _LEAST)
    scaled = weights / columns
    rows = np.maximum(np.abs(scaled).max(axis=1), _LEAST) / LARGEST
    buckets = np.rint(scaled / rows[:, None]).astype(np.int8)
    return buckets, rows.astype(np.float32), columns.astype(np.float32)
