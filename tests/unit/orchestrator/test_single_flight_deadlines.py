"""Would catch: a caller that waits beyond its deadline, or suffers from the shorter deadline of another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tandem.clock import now
from tandem.errors import BackendError, DeadlineExceeded, Overloaded
from tandem.orchestrator.single_flight import TOLERANCE_SECONDS, Event, Flights
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call
from tests.fakes.flights import KEY, Step, World, later, named

pytestmark = pytest.mark.virtual_time

SHARED, MISS = types_pb2.CACHE_OUTCOME_SHARED, types_pb2.CACHE_OUTCOME_MISS
TIMEOUT = types_pb2.Degradation(reason=types_pb2.DEGRADATION_REASON_TIMEOUT)


async def test_who_has_less_time_does_not_wait() -> None:
    world = World()
    answers = await asyncio.gather(
        world.ask(named("one", 60)),
        world.ask(named("short", 60 - 2 * TOLERANCE_SECONDS)),
        world.ask(named("same", 60 - TOLERANCE_SECONDS / 2)),
    )
    assert [answer.cache for answer in answers] == [MISS, MISS, SHARED]
    assert answers[2].source_request_id == "short"


async def test_who_has_other_retries_does_not_share() -> None:
    world = World()
    asked = [call(60, request_id=str(left), retries_left=left) for left in (0, 1, 1)]
    answers = await asyncio.gather(*map(world.ask, asked))
    assert [answer.cache for answer in answers] == [MISS, MISS, SHARED]


async def test_a_flight_ends_by_its_deadline_and_who_has_more_time_asks_anew() -> None:
    world = World(["a"] * 100, ["b"])
    leader, follower = (asyncio.create_task(world.ask(c)) for c in (named("one", 5), named("two")))
    with pytest.raises(DeadlineExceeded):
        await leader
    assert now() == pytest.approx(5)
    assert (await follower).text == "b"
    assert (world.started, world.running) == (2, 0)


async def test_a_stream_that_asks_anew_starts_once() -> None:
    world = World([Overloaded("full")], ["b"])
    leader = asyncio.create_task(world.read(named("one")))
    await asyncio.sleep(0)
    events = await world.read(later(9))
    assert [event.WhichOneof("event") for event in events] == ["started", "text", "finished"]
    assert events[-1].finished.answer.cache == MISS
    with pytest.raises(Overloaded):
        await leader


async def test_a_stream_that_has_shown_text_does_not_ask_anew() -> None:
    world = World(["a", Overloaded("full")], ["b"])
    results = await asyncio.gather(world.read(named("one")), world.read(later(9)), return_exceptions=True)
    assert [type(result) for result in results] == [Overloaded, Overloaded]
    assert world.started == 1


async def test_those_who_ask_anew_share_again() -> None:
    world = World([Overloaded("full")], ["b"])
    results = await asyncio.gather(
        world.ask(named("one")), *(world.ask(later(9, str(n))) for n in range(5)), return_exceptions=True
    )
    assert isinstance(results[0], Overloaded)
    assert [answer.cache for answer in results[1:] if isinstance(answer, types_pb2.Answer)] == [MISS] + [
        SHARED
    ] * 4
    assert world.started == 2


@pytest.mark.parametrize(
    ("seconds", "second", "text", "started"),
    [
        (100.0, ["whole"], "whole", 2),
        (60.5, ["whole"], "short", 1),
        (100.0, [BackendError("odd")], "short", 2),
    ],
    ids=["enough time", "too little time", "in vain"],
)
async def test_a_hurried_answer(seconds: float, second: list[Step], text: str, started: int) -> None:
    world = World(["short"], second)
    world.degradations = [[TIMEOUT]]
    leader, follower = await asyncio.gather(world.ask(named("one")), world.ask(named("two", seconds)))
    assert leader.text == "short"
    assert (follower.text, world.started) == (text, started)


async def test_work_that_finishes_as_its_deadline_passes() -> None:
    """Cancelling may come too late; then there is an answer and no error."""
    flights = Flights(lambda *_: None)

    async def stubborn() -> AsyncGenerator[Event, None]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            yield Event(finished=orchestrator_pb2.Finished(answer=types_pb2.Answer(request_id="one")))

    events = [event async for event in flights.stream(KEY, named("one", 5), stubborn)]
    assert [event.WhichOneof("event") for event in events] == ["finished"]
