"""Would catch: work done twice or paid twice, a caller that disturbs another, an answer that loses or repeats text."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.call import Call
from tandem.clock import now
from tandem.errors import BackendError
from tandem.orchestrator.single_flight import Event, Flights
from tandem.simulation.virtual_time import run
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.flights import KEY, World, joined, later, named

pytestmark = pytest.mark.virtual_time

SHARED, MISS = types_pb2.CACHE_OUTCOME_SHARED, types_pb2.CACHE_OUTCOME_MISS


# --- who pays


async def test_the_leader_pays_and_the_follower_does_not() -> None:
    world = World()
    leader, follower = await asyncio.gather(world.ask(named("one")), world.ask(named("two")))
    assert (world.started, world.running) == (1, 0)
    assert (leader.cache, leader.source_request_id, leader.cost_nano_usd, len(leader.attempts)) == (
        MISS,
        "",
        7,
        1,
    )
    assert follower == types_pb2.Answer(
        request_id="two",
        text="because",
        cache=SHARED,
        source_request_id="one",
        duration_ms=follower.duration_ms,
    )
    assert follower.duration_ms == pytest.approx(2000)
    assert world.noted == ["two"]


async def test_an_answer_from_the_shared_cache_stays_a_hit() -> None:
    found = types_pb2.Answer(text="because", cache=types_pb2.CACHE_OUTCOME_HIT, source_request_id="zero")
    flights = Flights(lambda *_: None)

    async def work() -> types_pb2.Answer:
        await asyncio.sleep(1)
        return found

    _, follower = await asyncio.gather(*(flights.answer(KEY, named(name), work) for name in ("one", "two")))
    assert (follower.cache, follower.source_request_id) == (types_pb2.CACHE_OUTCOME_HIT, "zero")


async def test_one_after_the_other_share_nothing() -> None:
    world = World()
    assert [(await world.ask(named("one"))).cache for _ in range(2)] == [MISS, MISS]


# --- streams


async def test_streams_share() -> None:
    world = World()
    leader, follower = await asyncio.gather(world.read(named("one")), world.read(named("two")))
    assert world.started == 1
    assert [event.WhichOneof("event") for event in follower] == ["started", "text", "text", "finished"]
    assert joined(leader) == joined(follower) == "because"
    assert follower[0].started.request_id == "two"
    assert follower[0].started.HasField("plan")
    answer = follower[-1].finished.answer
    assert (answer.cache, answer.source_request_id, answer.request_id) == (SHARED, "one", "two")
    assert answer.ttft_ms == pytest.approx(1000)
    assert leader[-1].finished.answer.cost_nano_usd == 7


async def test_who_joins_late_gets_all_from_the_beginning() -> None:
    world = World(["a", "b", "c", "d"])
    leader = asyncio.create_task(world.read(named("one")))
    await asyncio.sleep(2.5)
    follower = await world.read(named("two"))
    assert [event.text.delta for event in follower if event.HasField("text")] == ["ab", "c", "d"]
    assert follower[-1].finished.answer.ttft_ms == 0
    await leader


async def test_a_unary_caller_joins_a_stream() -> None:
    world = World()
    events, answer = await asyncio.gather(world.read(named("one")), world.ask(named("two")))
    assert world.started == 1
    assert (answer.text, answer.cache, answer.HasField("ttft_ms")) == ("because", SHARED, False)
    assert events[-1].finished.answer.text == ""


async def test_a_stream_does_not_wait_for_a_whole_answer() -> None:
    world = World()
    _, events = await asyncio.gather(world.ask(named("one")), world.read(named("two")))
    assert world.started == 2
    assert events[-1].finished.answer.cache == MISS


async def test_a_slow_reader_holds_up_nobody() -> None:
    world = World()
    async with aclosing(world.stream(named("slow"))) as slow:
        await anext(slow)
        prompt = await world.read(named("prompt"))
        assert now() == pytest.approx(2)
        await asyncio.sleep(100)
        rest = [event async for event in slow]
    assert joined(rest) == joined(prompt) == "because"
    assert len(rest) == 2


# --- leaving


@pytest.mark.parametrize("leaver", [0, 1])
async def test_who_leaves_disturbs_nobody(leaver: int) -> None:
    world = World()
    tasks = [asyncio.create_task(world.ask(named(name))) for name in ("one", "two")]
    await asyncio.sleep(0.5)
    tasks.pop(leaver).cancel()
    assert (await tasks[0]).text == "because"
    assert world.started == 1


async def test_when_the_leader_leaves_others_may_still_join() -> None:
    world = World()
    leader, follower = (asyncio.create_task(world.ask(named(name))) for name in ("one", "two"))
    await asyncio.sleep(0.5)
    leader.cancel()
    await asyncio.sleep(0)
    assert (await world.ask(named("three"))).source_request_id == "one"
    assert (await follower).source_request_id == "one"
    assert world.started == 1


async def test_when_the_last_one_leaves_the_work_stops_at_once() -> None:
    world = World()
    tasks = [asyncio.create_task(world.ask(named(name))) for name in ("one", "two")]
    await asyncio.sleep(0.5)
    for task in tasks:
        assert world.running == 1
        task.cancel()
        await asyncio.wait([task])
    assert (world.running, now()) == (0, 0.5)
    assert (await world.ask(named("three"))).cache == MISS


async def test_closing_a_stream_stops_the_work() -> None:
    world = World()
    async with aclosing(world.stream(named("one"))) as events:
        await anext(events)
    assert world.running == 0


async def test_who_leaves_as_soon_as_it_comes() -> None:
    world = World()
    task = asyncio.create_task(world.ask(named("one")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert (world.running, world.flights._flights) == (0, {})


async def test_nothing_is_left_behind() -> None:
    world = World(["a"], [BackendError("odd")], ["b"])
    await world.ask(named("one"))
    with pytest.raises(BackendError):
        await world.read(named("two"))
    await world.read(named("three"))
    assert world.flights._flights == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- errors


async def test_errors_are_shared() -> None:
    error = BackendError("odd")
    world = World(["be", error])
    results = await asyncio.gather(
        world.ask(named("one")), world.ask(named("two")), world.ask(later(9)), return_exceptions=True
    )
    assert list(results) == [error, error, error]
    assert world.started == 1


async def test_a_stream_fails_after_what_it_said() -> None:
    world = World(["be", BackendError("odd")])
    seen: list[list[Event]] = [[], []]

    async def read(number: int) -> None:
        async for event in world.stream(named(str(number))):
            seen[number].append(event)

    results = await asyncio.gather(read(0), read(1), return_exceptions=True)
    assert [type(result) for result in results] == [BackendError, BackendError]
    assert [joined(events) for events in seen] == ["be", "be"]
    assert world.noted == []


# --- any course of events


class _Caller:
    """Somebody who reads a stream or waits for the whole answer, perhaps not to the end."""

    def __init__(self, world: World, number: int, *, streams: bool) -> None:
        self.seen: list[Event] = []
        read = self._read if streams else self._ask
        self.task = asyncio.create_task(read(world, named(str(number))))

    async def _read(self, world: World, caller: Call) -> None:
        async for event in world.stream(caller):
            self.seen.append(event)

    async def _ask(self, world: World, caller: Call) -> None:
        answer = await world.ask(caller)
        self.seen.append(Event(text=orchestrator_pb2.TextDelta(delta=answer.text)))
        self.seen.append(Event(finished=orchestrator_pb2.Finished(answer=answer)))

    def saw(self) -> tuple[str, list[str | None]]:
        return joined(self.seen), [e.WhichOneof("event") for e in self.seen if e.HasField("finished")]


_moves = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(0, 1)),
        st.tuples(st.just("leave"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(1, 12)),
    ),
    max_size=25,
)


@given(st.lists(st.text("ab😀", min_size=1, max_size=3), max_size=6), st.booleans(), _moves)
def test_who_stays_sees_the_whole(words: list[str], fails: bool, moves: list[tuple[str, int]]) -> None:
    run(_fly(words, fails, moves))


async def _fly(words: list[str], fails: bool, moves: list[tuple[str, int]]) -> None:
    world = World([*words, *([BackendError("odd")] if fails else [])])
    callers: list[_Caller] = []
    left: set[int] = set()
    for move, number in moves:
        if move == "join":
            callers.append(_Caller(world, len(callers), streams=number == 1))
        elif move == "leave" and number < len(callers) and not callers[number].task.done():
            callers[number].task.cancel()
            left.add(number)
        elif move == "wait":
            await asyncio.sleep(number / 4)
        await asyncio.sleep(0)
    results = await asyncio.gather(*(caller.task for caller in callers), return_exceptions=True)
    for number, (caller, result) in enumerate(zip(callers, results, strict=True)):
        if number not in left:
            assert isinstance(result, BackendError) is fails
            if not fails:
                assert caller.saw() == ("".join(words), ["finished"])
        else:
            assert "".join(words).startswith(caller.saw()[0])
    assert (world.running, world.flights._flights) == (0, {})
