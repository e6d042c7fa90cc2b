"""Would catch maps that turn back, leave their range, or claim what is not so."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tandem.training.classifier import calibration


@given(st.integers(0, 1000), st.integers(60, 400))
def test_a_curve_rises_within_its_range(seed: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    said = draw.normal(size=count)
    truth = (draw.random(count) < 0.5).astype(float)
    curve = calibration.learn(said, truth, 0, 1)
    assert all(first < second for first, second in zip(curve.at, curve.at[1:], strict=False))
    assert all(first <= second for first, second in zip(curve.value, curve.value[1:], strict=False))
    assert 0 <= curve.value[0] <= curve.value[-1] <= 1


def test_what_is_claimed_is_so() -> None:
    draw = np.random.default_rng(0)
    said = draw.normal(size=8000)
    truth = (draw.random(8000) < 1 / (1 + np.exp(-2 * said))).astype(float)
    curve = calibration.learn(said[:4000], truth[:4000], 0, 1)
    claimed = curve.read(said[4000:])
    assert np.abs(claimed - 1 / (1 + np.exp(-2 * said[4000:]))).mean() < 0.03
    assert calibration.calibration_error(claimed, truth[4000:]) < 0.03


def test_the_error_is_the_mean_gap() -> None:
    claimed = np.array([0.2] * 60 + [0.8] * 90)
    truth = np.array([0.0] * 60 + [1.0] * 90)
    assert abs(calibration.calibration_error(claimed, truth) - 0.2) < 1e-9
