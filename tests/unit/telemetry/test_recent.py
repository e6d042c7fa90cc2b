"""Would catch a share that remembers more than a minute, or that mixes names up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.clock import running_on
from tandem.telemetry.recent import SLOT_SECONDS, SLOTS, RecentShare


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.sampled_from("ab"), st.booleans()), max_size=60))
def test_the_share_is_that_of_the_last_minute(events: list[tuple[float, str, bool]]) -> None:
    clock, shares, seen = 1000.0, RecentShare(), []
    with running_on(lambda: clock):
        for pause, name, kind in events:
            clock += pause
            shares.add(name, kind)
            seen.append((int(clock / SLOT_SECONDS), name, kind))
        oldest = int(clock / SLOT_SECONDS) - SLOTS
        recent = [(name, kind) for slot, name, kind in seen if slot > oldest]
        expected = {
            (name,): sum(kind for each, kind in recent if each == name)
            / sum(each == name for each, _ in recent)
            for name in {name for name, _ in recent}
        }
        assert shares.shares() == pytest.approx(expected)


def test_nothing_is_told_of_what_is_long_past() -> None:
    clock, shares = 1000.0, RecentShare()
    with running_on(lambda: clock):
        shares.add("r1", kind=True)
        assert shares.shares() == {("r1",): 1.0}
        clock += SLOT_SECONDS * (SLOTS + 1)
        assert shares.shares() == {}
