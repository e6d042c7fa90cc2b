"""Would catch: a test or a simulation of deadlines that waits for real, or in which time passes wrongly."""

from __future__ import annotations

import asyncio
import time

import pytest

from tandem.clock import now
from tandem.simulation import virtual_time


@pytest.mark.virtual_time
async def test_an_hour_passes_at_once() -> None:
    began, began_really = now(), time.monotonic()
    await asyncio.sleep(3600)
    assert now() - began == pytest.approx(3600)
    assert time.monotonic() - began_really < 60


@pytest.mark.virtual_time
async def test_timers_fire_in_their_order() -> None:
    fired: list[tuple[str, float]] = []

    async def note(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        fired.append((name, now()))

    began = now()
    await asyncio.gather(note("late", 2.0), note("early", 0.5), note("middle", 1.0))
    assert fired == [("early", began + 0.5), ("middle", began + 1.0), ("late", began + 2.0)]


@pytest.mark.virtual_time
async def test_a_timeout_comes_on_time() -> None:
    began = now()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(7):
            await asyncio.Event().wait()
    assert now() - began == pytest.approx(7)


def test_waiting_for_nothing_is_an_error() -> None:
    with pytest.raises(virtual_time.NothingHappens):
        virtual_time.run(asyncio.Event().wait())


def test_a_result_comes_back() -> None:
    async def later() -> str:
        await asyncio.sleep(1)
        return "done"

    assert virtual_time.run(later()) == "done"


async def test_outside_of_it_time_is_the_machines() -> None:
    assert now() == pytest.approx(time.monotonic(), abs=1)
