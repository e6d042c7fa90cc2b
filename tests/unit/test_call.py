"""Would catch: a deadline that a later hop prolongs, a clock that is not the event loop's, a trace that is none."""

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


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        ("", ""),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736"),
        # A later version may have more behind it.
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ""),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", ""),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", ""),
        ("what somebody said", ""),
    ],
)
async def test_the_trace_that_a_request_is_part_of(traceparent: str, trace_id: str) -> None:
    assert call()._replace(traceparent=traceparent).trace_id == trace_id
