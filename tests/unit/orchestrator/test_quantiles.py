"""Would catch: a quantile that is wrong by more than a bucket, never forgets, or drifts when weights are rescaled."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.orchestrator.quantiles import GROWTH, HALF_LIFE, Quantiles


@given(st.floats(0.02, 1e6))
def test_without_observations_every_quantile_is_the_prior(prior: float) -> None:
    assert [Quantiles(prior).quantile(share) for share in (0.0, 0.5, 0.99)] == [prior] * 3


@given(st.floats(0.02, 1e6), st.integers(1, 50))
def test_what_is_always_the_same_is_found_to_a_bucket(value: float, count: int) -> None:
    quantiles = Quantiles(value)
    for _ in range(count):
        quantiles.observe(value)
    for share in (0.05, 0.5, 0.99):
        assert value / (1 + 1e-9) <= quantiles.quantile(share) <= value * GROWTH * (1 + 1e-9)


def test_quantiles_of_a_known_distribution() -> None:
    """Of an exponential distribution with mean 100, a share s lies below -100 ln(1 - s)."""
    quantiles, draw = Quantiles(100.0), random.Random(1)
    found: dict[float, list[float]] = {0.5: [], 0.95: []}
    for number in range(20_000):
        quantiles.observe(draw.expovariate(0.01))
        if number % 200 == 199:
            for share, values in found.items():
                values.append(quantiles.quantile(share))
    for share, values in found.items():
        exact = -100 * math.log(1 - share)
        assert sum(values) / len(values) == pytest.approx(exact, rel=0.12)


def test_the_past_counts_half_after_the_half_life() -> None:
    """After 200 observations of 1000 all older ones together count as much as... a half; so p75 is between."""
    quantiles = Quantiles(10.0)
    for _ in range(20 * int(HALF_LIFE)):
        quantiles.observe(10.0)
    for _ in range(int(HALF_LIFE)):
        quantiles.observe(1000.0)
    assert quantiles.quantile(0.45) < 20
    assert quantiles.quantile(0.55) > 900


def test_it_goes_on_for_ever() -> None:
    """The weights are rescaled on the way, which nobody notices."""
    quantiles = Quantiles(5.0)
    for number in range(50_000):
        quantiles.observe(50.0 if number % 10 else 500.0)
        if number % 997 == 900:
            assert quantiles.quantile(0.5) == pytest.approx(50, rel=0.11)
            assert quantiles.quantile(0.95) == pytest.approx(500, rel=0.11)
    assert quantiles.observations == 50_000


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=100))
def test_quantiles_are_in_order(values: list[float]) -> None:
    quantiles = Quantiles(10.0)
    for value in values:
        quantiles.observe(value)
    found = [quantiles.quantile(share) for share in (0.0, 0.1, 0.5, 0.9, 0.95, 0.99)]
    assert found == sorted(found)
