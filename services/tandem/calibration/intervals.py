"""Confidence intervals of 95 % that need no assumption on how scores are spread."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEVEL: Final = 0.95
_Z: Final = 1.959964


def quantile_interval(ordered: NDArray[np.float64], share: float) -> tuple[float, float]:
    """Return an interval for the quantile that a share of the scores is below, from two of the scores themselves.

    Args:
        ordered: scores, shape (n,), ascending, n ≥ 1.
        share: 0 to 1.

    The number of scores below the true quantile is binomial, whatever the distribution (David and Nagaraja 2003,
    Order Statistics, §7.1).
    """
    count = len(ordered)
    if not 0.0 < share < 1.0:
        return float(ordered[0]), float(ordered[-1])
    below = np.cumsum(_binomial(count, share))
    low = int(np.searchsorted(below, (1.0 - LEVEL) / 2.0))
    high = int(np.searchsorted(below, (1.0 + LEVEL) / 2.0))
    return float(ordered[max(0, low - 1)]), float(ordered[min(count - 1, high)])


def share_interval(successes: int, count: int) -> tuple[float, float]:
    """Return Wilson's interval for a share of which `successes` of `count` were seen."""
    if not count:
        return 0.0, 1.0
    share, spread = successes / count, _Z * _Z / count
    middle = (share + spread / 2.0) / (1.0 + spread)
    half = _Z * math.sqrt(share * (1.0 - share) / count + spread / (4.0 * count)) / (1.0 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the normal interval for the mean of values, shape (n,), n ≥ 1."""
    half = _Z * float(values.std()) / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half


def _binomial(count: int, share: float) -> NDArray[np.float64]:
    """Return the probability of 0 to `count` successes, shape (count + 1,)."""
    successes = np.arange(1, count + 1)
    steps = np.log((count - successes + 1) / successes) + math.log(share) - math.log1p(-share)
    logs = np.concatenate([[0.0], np.cumsum(steps)]) + count * math.log1p(-share)
    probabilities: NDArray[np.float64] = np.exp(logs)
    return probabilities
