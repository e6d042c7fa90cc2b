"""Shares and quantiles of what was simulated, with their 95 % intervals.

Requests that come one after the other fare alike, so that a run says less than as many independent ones would. How much
less is found from twenty batches in a row: the variance between them, over what it would be by chance alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

Z: Final = 1.96
"""Standard deviations of 95 %."""
BATCHES: Final = 20


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the interval that it is in with 95 % confidence."""

    value: float
    low: float
    high: float


NOTHING: Final = Estimate(0.0, 0.0, 0.0)


def share(flags: Sequence[bool]) -> Estimate:
    """Return how many of some requests, in the order in which they came, did it: Wilson's interval."""
    array = np.array(flags, dtype=float)
    if not array.size:
        return Estimate(0.0, 0.0, 1.0)
    return _wilson(float(array.mean()), array.size / crowding(array))


def _wilson(part: float, many: float) -> Estimate:
    middle = (part + Z * Z / (2.0 * many)) / (1.0 + Z * Z / many)
    half = Z * math.sqrt(part * (1.0 - part) / many + (Z / (2.0 * many)) ** 2) / (1.0 + Z * Z / many)
    return Estimate(part, max(0.0, min(part, middle - half)), min(1.0, max(part, middle + half)))


def quantile(values: Sequence[float], part: float) -> Estimate:
    """Return a quantile of values, in the order in which they came; the interval is between two of them."""
    if not values:
        return NOTHING
    array = np.array(values)
    ordered = np.sort(array)
    place = max(0, math.ceil(part * array.size) - 1)
    found = float(ordered[place])
    many = array.size / crowding((array <= found).astype(float))
    half = Z * math.sqrt(part * (1.0 - part) / many) * array.size
    low = max(0, math.floor(place - half))
    high = min(array.size - 1, math.ceil(place + half))
    return Estimate(found, float(ordered[low]), float(ordered[high]))


def crowding(flags: np.ndarray) -> float:
    """Return how many requests in a row say as much as one that is independent, 1 or more."""
    part, size = float(flags.mean()), flags.size // BATCHES
    if part in {0.0, 1.0} or size < 2:
        return 1.0
    means = flags[: size * BATCHES].reshape(BATCHES, size).mean(axis=1)
    return max(1.0, float(means.var(ddof=1)) * size / (part * (1.0 - part)))
