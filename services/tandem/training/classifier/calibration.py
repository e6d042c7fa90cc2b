"""Maps what a head says to what it means: monotone, with straight lines between points, as the artifact reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from tandem.calibration.sample import QUANTILES

POINTS: Final = 24
"""Most points of a map."""
NEARBY: Final = 400
"""Texts that a confidence is the mean of."""
RISE: Final = 1e-4
"""Least step between two values, so that no two scores are read as the same."""
BINS: Final = 15
"""Bins of the calibration error."""

Numbers = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Curve:
    """A monotone map: points that rise, and what is read there."""

    at: tuple[float, ...]
    value: tuple[float, ...]

    def read(self, said: Numbers) -> NDArray[np.float64]:
        """Return the reading of what heads said; flat beyond the first and the last point."""
        return np.interp(said, self.at, self.value)


def learn(said: Numbers, truth: Numbers, low: float, high: float) -> Curve:
    """Return the curve of the truth over what was said, by isotonic regression (Zadrozny and Elkan, 2002).

    `said` must be of texts that the heads did not learn from. The curve rises from one mean of equally many texts to
    the next, and stays within `low` and `high`.
    """
    order = np.argsort(said, kind="stable")
    fitted = IsotonicRegression(y_min=low, y_max=high).fit_transform(said[order], truth[order])
    count = min(POINTS, max(2, len(said) // 25))
    parts = np.array_split(np.arange(len(said)), count)
    at = np.array([said[order][part].mean() for part in parts])
    value = np.array([fitted[part].mean() for part in parts])
    kept = np.flatnonzero(np.concatenate(([True], np.diff(at) > 1e-6)))
    at, value = at[kept], value[kept]
    rising = np.clip(np.maximum.accumulate(value) + RISE * np.arange(len(value)), low, high)
    return Curve(tuple(map(float, at)), tuple(map(float, rising)))


def calibration_error(claimed: Numbers, truth: Numbers) -> float:
    """Return the expected calibration error over bins of equally many (Guo et al., 2017, with equal mass)."""
    order = np.argsort(claimed, kind="stable")
    parts = np.array_split(order, min(BINS, len(order)))
    gaps = [len(part) * abs(float(claimed[part].mean()) - float(truth[part].mean())) for part in parts]
    return sum(gaps) / len(claimed)


def reliability(claimed: Numbers, truth: Numbers) -> list[tuple[float, float, int]]:
    """Return, for bins of equally many, the mean claim, the mean truth and how many there are."""
    order = np.argsort(claimed, kind="stable")
    parts = np.array_split(order, min(BINS, len(order)))
    return [(float(claimed[part].mean()), float(truth[part].mean()), len(part)) for part in parts]


def nearby(said: Numbers, hit: Numbers, at: tuple[float, ...]) -> tuple[float, ...]:
    """Return, for every point, the mean of `hit` over the texts with the scores nearest to it."""
    order = np.argsort(said, kind="stable")
    ranked, hits = said[order], hit[order]
    half = max(1, min(NEARBY, len(ranked)) // 2)
    middles = np.searchsorted(ranked, at)
    return tuple(float(hits[max(0, middle - half) : middle + half].mean()) for middle in middles)


def quantiles(claimed: Numbers) -> list[float]:
    """Return what `tandem calibrate` needs of the probabilities that R1 suffices, where it has no traffic."""
    found: list[float] = np.quantile(claimed, np.linspace(0, 1, QUANTILES)).round(4).tolist()
    return found
