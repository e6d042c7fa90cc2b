"""Would catch: a deadline that a later hop prolongs, or a clock that does not fit the event loop's."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.calls import call


async def test_the_deadline_only_gets_earlier() -> None:
    asked = call(seconds=10)
    assert asked.until(asked.deadline + 1) is asked
    assert asked.until(asked.deadline) is asked
    earlier = asked.until(asked.deadline - 4)
    assert earlier.remaining() == pytest.approx(6, abs=0.5)
    assert (earlier.request_id, earlier.started, earlier.tenant) == (
        asked.request_id,
        asked.started,
        asked.tenant,
    )


async def test_time_passes() -> None:
    late = call(seconds=-1)
    assert late.remaining() < 0
    assert 0 <= late.elapsed_ms() < 1000


async def test_the_deadline_is_on_the_clock_of_the_loop() -> None:
    assert call(seconds=5).deadline - asyncio.get_running_loop().time() == pytest.approx(5, abs=0.5)
