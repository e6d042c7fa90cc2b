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
    for _ in range(6):
        found.append(limit.value)
        await asyncio.sleep(2.0)
    assert found == [4, 5, 6, 7, 8, 8]


async def test_it_never_falls_below_one() -> None:
    limit = ConcurrencyLimit(3, window_seconds=1.0)
    found = []
    for _ in range(4):
        limit.halve()
        found.append(limit.value)
        await asyncio.sleep(0.999)
        limit.halve()
        await asyncio.sleep(0.001)
    assert min(found) == 1


@given(st.integers(1, 64), st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=30))
def test_it_stays_between_one_and_what_it_began_with(most: int, steps: list[tuple[float, bool]]) -> None:
    async def check() -> None:
        limit = ConcurrencyLimit(most, window_seconds=1.0)
        for pause, trouble in steps:
            before = limit.value
            await asyncio.sleep(pause)
            assert limit.value >= before
            if trouble:
                limit.halve()
            assert 1 <= limit.value <= most
        await asyncio.sleep(most + 1.0)
        assert limit.value == most

    virtual_time.run(check())
