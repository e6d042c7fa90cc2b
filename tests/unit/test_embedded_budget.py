"""Would catch more threads than cores, a tier without a thread, and waits that do not grow or grow without bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tandem.embedded.backoff import Backoff
from tandem.embedded.threads import available_cores, thread_budget

TIERS = st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True)


@given(cores=st.integers(1, 512), tiers=TIERS)
def test_the_cores_are_shared_out_evenly_and_no_more(cores: int, tiers: list[str]) -> None:
    budget = thread_budget(cores, tiers)
    assert set(budget) == set(tiers)
    assert min(budget.values()) >= 1
    assert max(budget.values()) - min(budget.values()) <= 1
    assert sum(budget.values()) == max(cores, len(tiers))


def test_an_odd_core_goes_to_the_later_tier() -> None:
    assert thread_budget(3, ["r1", "pro"]) == {"r1": 1, "pro": 2}
    assert thread_budget(1, ["r1", "pro"]) == {"r1": 1, "pro": 1}
    assert available_cores() >= 1


def test_waits_double_up_to_half_a_minute() -> None:
    backoff = Backoff()
    for bound in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0):
        assert bound / 2 <= backoff.after_failure(healthy_seconds=0.0) <= bound


def test_a_healthy_minute_is_forgiven() -> None:
    backoff = Backoff()
    for _ in range(20):
        backoff.after_failure(healthy_seconds=59.9)
    assert backoff.after_failure(healthy_seconds=60.0) <= 0.5
