"""Would catch: a place that is lost or given twice, a request that starves, or one that waits for what cannot come."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.clock import now
from tandem.errors import Overloaded
from tandem.orchestrator.admission import Admission, Claim
from tandem.orchestrator.limit import ConcurrencyLimit
from tandem.simulation import virtual_time

pytestmark = pytest.mark.virtual_time


def admission(
    places: int = 1, hold_ms: float = 100.0, starvation_ms: float = 1e9, most: int = 1000
) -> Admission:
    return Admission("r1/fp16", ConcurrencyLimit(places, 1.0), hold_ms, starvation_ms, most)


async def use(
    gate: Admission, name: str, order: list[str], deadline: float, *, seconds: float = 0.1, loss: float = 1e9
) -> float:
    """Hold a place for some time; return how long it was waited for, in milliseconds."""
    async with gate.place(lambda: Claim(now() + deadline, now() + deadline, loss)) as waited_ms:
        order.append(name)
        await asyncio.sleep(seconds)
    return waited_ms


async def test_a_free_place_costs_nothing() -> None:
    gate = admission(places=2)
    assert await asyncio.gather(*(use(gate, "a", [], 10) for _ in range(2))) == [0.0, 0.0]
    assert (gate.in_flight, gate.waiting, gate.shed) == (0, 0, 0)


async def test_no_more_at_a_time_than_the_limit() -> None:
    gate, most = admission(places=3), 0

    async def one() -> None:
        nonlocal most
        async with gate.place(lambda: Claim(now() + 100, now() + 100)):
            most = max(most, gate.in_flight)
            await asyncio.sleep(0.1)

    await asyncio.gather(*(one() for _ in range(10)))
    assert most == 3
    assert now() == pytest.approx(0.4)


async def test_the_earliest_deadline_is_served_first() -> None:
    gate, order = admission(), list[str]()
    deadlines = {"first": 50.0, "late": 40.0, "early": 20.0, "middle": 30.0}
    await asyncio.gather(*(use(gate, name, order, deadline) for name, deadline in deadlines.items()))
    assert order == ["first", "early", "middle", "late"]


async def test_who_waits_too_long_comes_first() -> None:
    gate, order = admission(starvation_ms=350), list[str]()

    async def urgent() -> None:
        for number in range(8):
            asyncio.get_running_loop().create_task(use(gate, f"urgent {number}", order, 5 + number / 10))
            await asyncio.sleep(0.1)

    await asyncio.gather(use(gate, "running", order, 9), use(gate, "patient", order, 60), urgent())
    await asyncio.sleep(5)
    assert order.index("patient") == 4, "after 350 ms, so at the fourth place that became free"


async def test_what_cannot_start_in_time_is_refused_at_once() -> None:
    gate = admission(hold_ms=1000)
    running = asyncio.create_task(use(gate, "running", [], 10, seconds=1.0))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match=r"would start in 1\.0 s") as caught:
        await use(gate, "hopeless", [], 0.5)
    assert now() == 0
    assert caught.value.details.retry_after_seconds == pytest.approx(1.0)
    assert gate.shed == 1
    await running


async def test_what_did_not_start_in_time_is_refused_then() -> None:
    """The place was expected after 100 ms, but is held for longer."""
    gate = admission(hold_ms=100)
    running = asyncio.create_task(use(gate, "running", [], 10, seconds=5.0))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await use(gate, "unlucky", [], 0.5)
    assert now() == pytest.approx(0.5)
    assert gate.waiting == 0
    await running
    assert gate.in_flight == 0


async def test_who_loses_least_makes_room() -> None:
    """Two wait already, a third cannot be in time: the one that loses least by another answer gets that one."""
    gate, order = admission(hold_ms=100), list[str]()
    tasks = [asyncio.create_task(use(gate, "running", order, 10))]
    await asyncio.sleep(0)
    for name, loss in (("much", 0.5), ("little", 0.1)):
        tasks.append(asyncio.create_task(use(gate, name, order, 0.25, loss=loss)))
        await asyncio.sleep(0)
    await use(gate, "some", order, 0.25, loss=0.3)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [float, float, Overloaded]
    assert order == ["running", "much", "some"]


async def test_who_loses_less_than_all_others_is_refused_itself() -> None:
    gate = admission(hold_ms=100)
    tasks = [asyncio.create_task(use(gate, "x", [], 0.25, loss=0.5)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await use(gate, "less", [], 0.25, loss=0.1)
    await asyncio.gather(*tasks)


async def test_who_is_pushed_back_too_far_is_told_at_once() -> None:
    """Two wait; a third with an earlier deadline goes ahead of them, so that the last cannot be in time any more."""
    gate, order = admission(hold_ms=100), list[str]()
    tasks = [asyncio.create_task(use(gate, "running", order, 10))]
    await asyncio.sleep(0)
    for name in ("first", "last"):
        tasks.append(asyncio.create_task(use(gate, name, order, 0.25, loss=0.5)))
        await asyncio.sleep(0)
    urgent = asyncio.create_task(use(gate, "urgent", order, 0.2, loss=0.5))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await tasks.pop()
    assert now() == 0
    await asyncio.gather(urgent, *tasks)
    assert order == ["running", "urgent", "first"]


async def test_the_queue_is_bounded() -> None:
    gate = admission(most=2)
    tasks = [asyncio.create_task(use(gate, "x", [], 1000)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await use(gate, "one too many", [], 1000)
    await asyncio.gather(*tasks)


async def test_cancelling_gives_the_place_back() -> None:
    gate, order = admission(), list[str]()
    running = asyncio.create_task(use(gate, "running", order, 10, seconds=100))
    waiting = asyncio.create_task(use(gate, "waiting", order, 1000))
    leaving = asyncio.create_task(use(gate, "leaving", order, 900))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    assert gate.waiting == 1
    running.cancel()
    await waiting
    assert order == ["running", "waiting"]
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_cancelled_in_the_moment_of_its_turn() -> None:
    gate, order = admission(), list[str]()
    running = asyncio.create_task(use(gate, "running", order, 10))
    unlucky = asyncio.create_task(use(gate, "unlucky", order, 20))
    waiting = asyncio.create_task(use(gate, "waiting", order, 30))
    await asyncio.sleep(0)
    await running
    # Its turn was given to it, but it has not run since.
    unlucky.cancel()
    await waiting
    assert order[-1] == "waiting"
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_cancelled_just_before_a_place_becomes_free() -> None:
    """It has not run since it was cancelled, so it still stands in the queue when the place is given on."""
    gate, order = admission(), list[str]()
    running = asyncio.create_task(use(gate, "running", order, 10))
    unlucky = asyncio.create_task(use(gate, "unlucky", order, 20))
    waiting = asyncio.create_task(use(gate, "waiting", order, 30))
    await asyncio.sleep(0.05)
    unlucky.cancel()
    running.cancel()
    await waiting
    assert order == ["running", "waiting"]
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_a_limit_that_grows_lets_more_in() -> None:
    limit = ConcurrencyLimit(4, window_seconds=0.2)
    gate = Admission("r1", limit, 100.0, 1e9, 1000)
    limit.halve()

    async def one() -> None:
        async with gate.place(lambda: Claim(now() + 100, now() + 100)):
            await asyncio.sleep(0.1)
            limit.answered()

    await asyncio.gather(*(one() for _ in range(12)))
    # two at a time for 0.2 s, three for 0.2 s, then four: 4 + 6 + 2
    assert now() == pytest.approx(0.5)


@given(st.integers(1, 4), st.integers(0, 10**6), st.integers(1, 40))
def test_no_place_is_ever_lost(places: int, seed: int, count: int) -> None:
    """Whatever comes, waits, is cancelled or refused: at the end all places are free, and nobody waits."""

    async def check() -> None:
        draw, gate = random.Random(seed), admission(places, hold_ms=50, starvation_ms=300, most=20)

        async def one() -> float:
            await asyncio.sleep(draw.uniform(0, 1))
            return await use(
                gate, "x", [], draw.uniform(0.05, 2), seconds=draw.uniform(0, 0.3), loss=draw.random()
            )

        tasks = [asyncio.create_task(one()) for _ in range(count)]
        for task in tasks:
            await asyncio.sleep(draw.uniform(0, 0.05))
            assert gate.in_flight <= places
            if draw.random() < 0.3:
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(r, float | Overloaded | asyncio.CancelledError) for r in results)
        assert (gate.in_flight, gate.waiting, len(gate._by_arrival)) == (0, 0, 0)

    virtual_time.run(check())
