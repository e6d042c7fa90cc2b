"""How alike two long texts are, in both scripts: characters in a row, and words.

`similarities` is the mean of two measures, each 0 to 1:

- chrF (Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation"): the F-score of shared character
  n-grams, n = 1 … 6, white space left out. Here both directions count alike (F1), so that the measure is symmetric.
- the cosine of word counts and counts of word pairs, after log(1 + count).

Both are counted in hashed buckets, so the time does not depend on how many different n-grams there are.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

ORDERS: Final = 6
"""Longest character n-gram."""
MOST_CHARACTERS: Final = 6_000
"""Of a longer text the first and the last half of this are compared."""
BUCKETS: Final = 1 << 14
_WORD: Final = re.compile(r"[^\W\u3400-\u9fff]+|[\u3400-\u9fff]")
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_SHIFT: Final = np.uint64(64 - 14)
_ONE: Final = np.uint64(1)

Counts = NDArray[np.int32]
Matrix = NDArray[np.float64]


def similarities(texts: Sequence[str]) -> Matrix:
    """Return how alike any two texts are, shape [texts, texts]; a text is 1 to itself. Linear in their length."""
    folded = [_folded(text) for text in texts]
    grams = [_grams(text) for text in folded]
    vectors = np.stack([_words(text) for text in folded])
    alike: Matrix = vectors @ vectors.T
    for one in range(len(texts)):
        for other in range(one):
            alike[one, other] = alike[other, one] = (
                _chrf(grams[one], grams[other]) + alike[one, other]
            ) / 2.0
    np.fill_diagonal(alike, 1.0)
    return np.clip(alike, 0.0, 1.0)


def _folded(text: str) -> str:
    half = MOST_CHARACTERS // 2
    cut = text if len(text) <= MOST_CHARACTERS else text[:half] + text[-half:]
    return unicodedata.normalize("NFKC", cut)[: 2 * MOST_CHARACTERS].casefold()


@dataclass(frozen=True, slots=True)
class _Grams:
    """How often each n-gram occurs, in buckets, shape [orders, buckets], and how many there are, shape [orders]."""

    counts: NDArray[np.uint16]
    total: NDArray[np.intp]


def _grams(text: str) -> _Grams:
    points = np.frombuffer("".join(text.split()).encode("utf-32-le", "surrogatepass"), np.uint32).astype(
        np.uint64
    )
    counts = np.zeros((ORDERS, BUCKETS), np.uint16)
    rolled = np.zeros(len(points), np.uint64)
    for order in range(min(ORDERS, len(points))):
        rolled = (rolled[: len(points) - order] + points[order:] + _ONE) * _MULTIPLIER
        counts[order] = np.bincount((rolled >> _SHIFT).view(np.int64), minlength=BUCKETS)
    return _Grams(counts, np.maximum(len(points) - np.arange(ORDERS), 0))


def _chrf(one: _Grams, other: _Grams) -> float:
    """Return the mean F1 over the orders that either text has."""
    total = one.total + other.total
    there = total > 0
    if not there.any():
        return 0.0
    shared = np.minimum(one.counts, other.counts).sum(axis=1, dtype=np.uint32)
    return float((2.0 * shared[there] / total[there]).mean())


def _words(text: str) -> Matrix:
    """Return the unit vector of words and pairs of words, shape [buckets]; zeros if there are none."""
    hashes = [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in _WORD.findall(text)]
    words = np.array(hashes, np.uint64)
    places = np.concatenate((words, words[:-1] * np.uint64(31) + words[1:])) if len(words) else words
    counts = np.bincount(((places * _MULTIPLIER) >> _SHIFT).view(np.int64), minlength=BUCKETS)
    vector = np.log1p(counts)
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
