"""Finds questions that are the same, or nearly, so that none is learned from and measured on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

SHINGLE: Final = 5
"""Words, or ideographs, that are compared together."""
MOST_TEXTS: Final = 30
"""A shingle in more texts than this is boilerplate: options, instructions."""
LEAST_SHARED: Final = 0.6
"""Part of the shingles of either text that a near-duplicate shares."""
_TOKEN: Final = re.compile("[a-z]+|[0-9]+|[\u3400-\u9fff]")

Labels = NDArray[np.intp]


def clusters(texts: Sequence[str], keys: Sequence[str]) -> Labels:
    """Return a number for each text, the same for near-duplicates and for texts of one key; shape [texts]."""
    shingles = _shingles(texts)
    shared = (shingles @ shingles.T).tocoo()
    sizes = np.diff(shingles.indptr)
    least = np.minimum(sizes[shared.row], sizes[shared.col])
    near = (shared.data >= LEAST_SHARED * least) & (shared.row < shared.col) & (shared.data >= 3)
    first = {key: at for at, key in reversed(list(enumerate(keys)))}
    same = np.array([first[key] for key in keys])
    rows = np.concatenate((shared.row[near], np.arange(len(texts))))
    columns = np.concatenate((shared.col[near], same))
    edges = sparse.coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(texts),) * 2)
    labels: Labels = connected_components(edges.tocsr(), directed=False)[1]
    return labels


def _shingles(texts: Sequence[str]) -> sparse.csr_array:
    """Return which shingles each text has, boilerplate left out; shape [texts, shingles], of ones."""
    numbers: dict[bytes, int] = {}
    indices: list[int] = []
    starts = [0]
    for text in texts:
        tokens = _TOKEN.findall(text.lower())
        found = {" ".join(tokens[at : at + SHINGLE]) for at in range(max(1, len(tokens) - SHINGLE + 1))}
        digests = sorted(hashlib.blake2b(shingle.encode(), digest_size=8).digest() for shingle in found)
        indices += [numbers.setdefault(digest, len(numbers)) for digest in digests]
        starts.append(len(indices))
    matrix = sparse.csr_array(
        (np.ones(len(indices), np.int32), np.array(indices, np.int64), np.array(starts, np.int64)),
        shape=(len(texts), max(1, len(numbers))),
    )
    rare = np.asarray(matrix.sum(axis=0)).ravel() <= MOST_TEXTS
    kept: sparse.csr_array = matrix[:, np.flatnonzero(rare)].tocsr()
    return kept
