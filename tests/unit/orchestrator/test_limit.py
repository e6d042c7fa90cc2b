"""Would catch: a limit that falls to nothing, that one burst of failures halves many times, or that never recovers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.orchestrator.limit import ConcurrencyLimit
from tandem.simulation import virtual_time

pytestmark = pytest.mark.virtual_time


async def test_many_failures_at_once_are_one_event() -> None:
    limit = ConcurrencyLimit(32, window_seconds=1.0)
    for _ in range(10):
        limit.halve()
    assert limit.value == 16


async def test_one_more_for_every_window_without_trouble() -> None:
    limit = ConcurrencyLimit(8, window_seconds=2.0)
    limit.halve()
    found = []
    for _ in range(12):
        found.append(limit.value)
        await asyncio.sleep(1.0)
        limit.answered()
    assert found == [4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 8, 8]


async def test_time_in_which_nothing_was_tried_shows_nothing() -> None:
    limit = ConcurrencyLimit(8, window_seconds=1.0)
    limit.halve()
    await asyncio.sleep(100.0)
    assert limit.value == 4
    limit.answered()
    limit.answered()
    assert limit.value == 5


async def test_trouble_again_and_again_never_lets_it_rise() -> None:
    """Every 0.3 s one fails and one answers: no window is clean, and each halves it further."""
    limit = ConcurrencyLimit(8, window_seconds=1.0)
    found = []
    for _ in range(20):
        limit.halve()
        await asyncio.sleep(0.15)
        limit.answered()
        await asyncio.sleep(0.15)
        found.append(limit.value)
    assert found == sorted(found, reverse=True)
    assert (found[0], found[-1]) == (4, 1)


@given(st.integers(1, 64), st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=30))
def test_it_stays_between_one_and_what_it_began_with(most: int, steps: list[tuple[float, bool]]) -> None:
    async def check() -> None:
        limit = ConcurrencyLimit(most, window_seconds=1.0)
        for pause, trouble in steps:
            await asyncio.sleep(pause)
            limit.halve() if trouble else limit.answered()
            assert 1 <= limit.value <= most
        for _ in range(most):
            await asyncio.sleep(1.001)  # sums of floats are a little off
            limit.answered()
        assert limit.value == most

    virtual_time.run(check())
