"""Would catch intervals that promise more than a run shows."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.simulation.estimates import crowding, quantile, share

RUNS = 400


def test_wilson_by_hand() -> None:
    """Textbook figures: 8 of 10 are between 0.490 and 0.943."""
    found = share([True] * 8 + [False] * 2)
    assert (found.value, round(found.low, 3), round(found.high, 3)) == (0.8, 0.490, 0.943)
    assert share([True] * 100).high == 1.0
    assert share([True] * 100).low == pytest.approx(100 / (100 + 1.96**2))
    assert (share([]).low, share([]).high) == (0.0, 1.0)


def test_the_truth_is_in_nineteen_of_twenty_intervals() -> None:
    random = np.random.default_rng(1)
    runs = [random.random(1000) for _ in range(RUNS)]
    shares = [share((run < 0.9).tolist()) for run in runs]
    quantiles = [quantile(run.tolist(), 0.9) for run in runs]
    for found in (shares, quantiles):
        assert sum(each.low <= 0.9 <= each.high for each in found) / RUNS > 0.92


def test_the_truth_is_also_in_intervals_of_runs_of_luck() -> None:
    """Spells of thirty requests that fare alike: an interval that took them for independent would be far too narrow."""
    random = np.random.default_rng(2)
    runs = [np.repeat(random.random(100) < 0.8, 30).tolist() for _ in range(RUNS)]
    assert sum(found.low <= 0.8 <= found.high for found in map(share, runs)) / RUNS > 0.9
    assert np.mean([crowding(np.array(run, float)) for run in runs]) == pytest.approx(30, rel=0.2)


def test_a_quantile_is_a_value() -> None:
    found = quantile([float(value) for value in range(1, 101)], 0.5)
    assert (found.value, found.low <= 45, found.high >= 55) == (50.0, True, True)
    assert quantile([], 0.99).value == 0.0
