"""Splits questions so that nothing that is measured was learned from, not even a near-duplicate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.training.classifier.duplicates import Labels

FOLDS: Final = 5
GROUP_FOLDS: Final = 9
"""Of subjects or tasks: more, so that many are learned from."""
Rows = NDArray[np.intp]


def numbered(labels: Labels | Sequence[str], seed: int = 1, folds: int = FOLDS) -> Rows:
    """Return the fold of every question; what has one label is in one fold."""
    _, places = np.unique(np.asarray(labels), return_inverse=True)
    drawn: Rows = np.random.default_rng(seed).permutation(places.max() + 1) % folds
    chosen: Rows = drawn[places]
    return chosen


def splits(fold: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Give the rows to learn from and the rows to measure on, of each fold."""
    for number in np.unique(fold):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)
