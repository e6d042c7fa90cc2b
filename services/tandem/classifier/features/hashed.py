"""Counts hashed n-grams, each group in buckets of its own."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features.lookup import HASH_BITS
from tandem.classifier.features.scan import Hashes, Scan
from tandem.classifier.features.spec import FeatureSpec, Group

Indices = NDArray[np.uint32]
Values = NDArray[np.float32]

MOST_COUNTED: Final = 8192
"""Counts above this weigh like it; more windows than this a sample hardly has."""
UNIT: Final = 1024
"""What 1 is while values are whole numbers: their squares add up exactly, and so alike on every machine."""
_LOG_COUNT: Final = np.rint(UNIT * (1 + np.log(np.arange(1, MOST_COUNTED + 1)))).astype(np.int64)
_TRUE: Final = np.ones(1, np.bool_)


class Hashed:
    """Finds the buckets of a text and what each weighs."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._groups = tuple(
            (group, np.uint64(HASH_BITS - group.bits), np.uint64(offset))
            for group, offset in zip(spec.groups, spec.offsets[:-1], strict=True)
        )
        self._weights = [group.weight for group in spec.groups]
        self._bounds = np.array(spec.offsets, np.uint32)
        self._logarithmic = spec.counts == "log"

    def buckets(self, scan: Scan) -> tuple[Indices, Values]:
        """Return the buckets found, each once and in order, and their values; both of shape [found]."""
        parts = [(_found(group, scan) >> shift) + offset for group, shift, offset in self._groups]
        if not parts:
            return np.empty(0, np.uint32), np.empty(0, np.float32)
        drawn = np.concatenate(parts, dtype=np.uint32, casting="unsafe")
        drawn.sort()
        return self._weighed(drawn)

    def _weighed(self, drawn: Indices) -> tuple[Indices, Values]:
        edges = np.flatnonzero(np.concatenate((_TRUE[: len(drawn)], drawn[1:] != drawn[:-1])))
        indices = drawn[edges]
        if self._logarithmic:
            counts = np.empty_like(edges)
            np.subtract(edges[1:], edges[:-1], out=counts[:-1])
            counts[-1:] = len(drawn) - edges[-1:]
            whole = _LOG_COUNT.take(counts - 1, mode="clip")
        else:
            whole = np.full(len(indices), UNIT, np.int64)
        bounds = indices.searchsorted(self._bounds)
        return indices, (whole * self._scales(whole, bounds)).astype(np.float32)

    def _scales(self, whole: NDArray[np.int64], bounds: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return what brings the values of each group to the length of its weight."""
        sums = np.zeros(len(whole) + 1, np.int64)
        np.add.accumulate(whole * whole, out=sums[1:])
        lengths = sums[bounds].tolist()
        scales = [
            weight / math.sqrt(end - start) if end > start else 0.0
            for weight, start, end in zip(self._weights, lengths[:-1], lengths[1:], strict=True)
        ]
        return np.repeat(scales, bounds[1:] - bounds[:-1])


def _found(group: Group, scan: Scan) -> Hashes:
    if group.kind == "words":
        return scan.words(group.size)
    return scan.ideographs(group.size) if group.kind == "ideographs" else scan.characters(group.size)
