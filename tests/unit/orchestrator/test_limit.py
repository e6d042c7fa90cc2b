"""Would catch: a limit that falls to nothing, that one burst of failures halves many times, or that never recovers.

And one that lets orchestrators together overload what they share, or that another number of instances resets.
"""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.orchestrator.limit import ConcurrencyLimit, part_of_one
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


# --- several instances, several orchestrators

counts = st.integers(1, 1000)


@pytest.mark.parametrize(
    ("concurrency", "instances", "sharers", "part"),
    [
        (32, 1, 1, 32),
        (32, 4, 1, 128),
        (32, 1, 4, 8 + 2),
        (10, 2, 3, 6 + 2),
        (8, 3, 3, 8 + 2),
        (1, 3, 2, 1 + 1),
        (8, 1, 9, 1),
        (1, 1, 1, 1),
    ],
)
def test_the_part_of_one(concurrency: int, instances: int, sharers: int, part: int) -> None:
    assert part_of_one(concurrency, instances, sharers) == part


@given(counts, counts, counts)
def test_all_parts_together_fill_all_instances_and_little_more(
    concurrency: int, instances: int, sharers: int
) -> None:
    part, places = part_of_one(concurrency, instances, sharers), concurrency * instances
    fair = Fraction(places, sharers)
    assert 1 <= part <= places <= part * sharers
    assert part == 1 or part <= fair or (part - fair) ** 2 <= fair


@given(counts, counts)
def test_one_orchestrator_has_all_of_it(concurrency: int, instances: int) -> None:
    assert part_of_one(concurrency, instances, 1) == concurrency * instances


@given(counts, counts, counts)
def test_more_instances_never_give_less_and_more_sharers_never_more(
    concurrency: int, instances: int, sharers: int
) -> None:
    part = part_of_one(concurrency, instances, sharers)
    assert part_of_one(concurrency, instances + 1, sharers) >= part
    assert part_of_one(concurrency, instances, sharers + 1) <= part


async def test_many_instances_recover_in_the_time_of_one() -> None:
    limit = ConcurrencyLimit(8, window_seconds=1.0)
    limit.adopt(32, 1.0, step=4)
    limit.halve()
    found = []
    for _ in range(5):
        found.append(limit.value)
        await asyncio.sleep(1.001)
        limit.answered()
    assert found == [16, 20, 24, 28, 32]


@given(st.integers(1, 200), st.lists(st.integers(1, 200), max_size=10), st.integers(0, 4))
def test_ceilings_that_come_and_go_leave_no_trace(most: int, others: list[int], halvings: int) -> None:
    async def check() -> None:
        limit = ConcurrencyLimit(most, window_seconds=1.0)
        for _ in range(halvings):
            limit.halve()
            await asyncio.sleep(1.001)
        before = limit.value
        for other in others:
            limit.adopt(other, 1.0)
            assert limit.value == max(1, int(Fraction(before, most) * other))
        limit.adopt(most, 1.0)
        assert limit.value == before

    virtual_time.run(check())


@given(
    st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["halve", "answered", "adopt"]), st.integers(1, 99)))
)
def test_whatever_happens_it_stays_between_one_and_the_ceiling(steps: list[tuple[float, str, int]]) -> None:
    async def check() -> None:
        limit = ConcurrencyLimit(32, window_seconds=1.0)
        for pause, event, most in steps:
            await asyncio.sleep(pause)
            before = limit.value
            if event == "adopt":
                limit.adopt(most, 1.0, step=1 + most % 3)
                assert limit.most == most
            elif event == "halve":
                limit.halve()
                assert limit.value <= before
            else:
                limit.answered()
                assert limit.value >= before
            assert 1 <= limit.value <= limit.most

    virtual_time.run(check())
