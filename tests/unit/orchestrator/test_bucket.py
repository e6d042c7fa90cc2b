"""Would catch: more let through than was promised, an allowance that is lost by rounding, a debt that is forgiven."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.orchestrator.bucket import MINUTE_NS, Bucket

limits = st.integers(1, 1000)
moments = st.lists(st.integers(0, 5 * MINUTE_NS), min_size=1, max_size=60).map(sorted)


def taken_of(bucket: Bucket, at: list[int]) -> list[int]:
    """Take one at every moment at which there is one; return those moments."""
    found = []
    for moment in at:
        if bucket.wait_ns(moment) == 0:
            bucket.take(1, moment)
            found.append(moment)
    return found


@given(limits)
def test_it_begins_full(limit: int) -> None:
    assert taken_of(Bucket(limit, 0), [0] * (limit + 1)) == [0] * limit


@given(st.integers(1, 10), moments)
def test_never_more_in_any_minute_than_the_limit_and_what_was_saved_up(limit: int, at: list[int]) -> None:
    taken = taken_of(Bucket(limit, 0), at)
    for first in taken:
        assert sum(first <= moment < first + MINUTE_NS for moment in taken) <= 2 * limit
    assert len(taken) <= limit + limit * at[-1] // MINUTE_NS


@given(limits, st.integers(0, 10**18))
def test_the_next_comes_exactly_when_it_was_promised(limit: int, began: int) -> None:
    bucket = Bucket(limit, began)
    bucket.take(limit, began)
    wait = bucket.wait_ns(began)
    assert (wait - 1) * limit < MINUTE_NS <= wait * limit
    assert bucket.wait_ns(began + wait - 1) == 1
    assert bucket.wait_ns(began + wait) == 0


@given(limits, st.lists(st.integers(0, MINUTE_NS), max_size=200))
def test_looking_often_changes_nothing(limit: int, looks: list[int]) -> None:
    watched, left_alone = Bucket(limit, 0), Bucket(limit, 0)
    for bucket in (watched, left_alone):
        bucket.take(2 * limit, 0)
    for moment in sorted(looks):
        watched.wait_ns(moment)
    assert watched.wait_ns(MINUTE_NS) == left_alone.wait_ns(MINUTE_NS)


@given(limits)
def test_after_a_minute_it_is_full_and_never_fuller(limit: int) -> None:
    bucket = Bucket(limit, 0)
    bucket.take(limit, 0)
    bucket.wait_ns(100 * MINUTE_NS)
    assert len(taken_of(bucket, [100 * MINUTE_NS] * (limit + 1))) == limit


@given(limits, st.integers(1, 100_000))
def test_a_debt_is_paid_before_anything_else_is_taken(limit: int, debt: int) -> None:
    bucket = Bucket(limit, 0)
    bucket.take(limit + debt, 0)
    paid = bucket.wait_ns(0)
    assert (paid - 1) * limit < (debt + 1) * MINUTE_NS <= paid * limit


@pytest.mark.parametrize(("limit", "wait"), [(1, MINUTE_NS), (60, 10**9), (7, 8_571_428_572)])
def test_waits(limit: int, wait: int) -> None:
    bucket = Bucket(limit, 0)
    bucket.take(limit, 0)
    assert bucket.wait_ns(0) == wait
