"""Identical requests in flight share one attempt.

The work of a flight runs in a task of its own. Its first caller leads: the answer is the leader's, with attempts, usage
and cost. Whoever asks the same meanwhile follows: sees all events from the beginning, and pays nothing. A caller that
leaves disturbs nobody; when the last one leaves, the work is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, TypeAlias

from tandem.call import Call
from tandem.errors import Cancelled, DeadlineExceeded, DeadlineTooShort, Overloaded, TandemError
from tandem.orchestrator.event_log import EventLog, Place
from tandem.v1 import orchestrator_pb2, types_pb2

TOLERANCE_SECONDS: Final = 0.01
"""Deadlines that are no further apart count as the same; less than what a plan keeps for sending the answer."""

LATE: Final = (DeadlineExceeded, DeadlineTooShort, Overloaded)
"""Errors that a caller with more time need not get."""

_HURRIED: Final = frozenset((types_pb2.DEGRADATION_REASON_DEADLINE, types_pb2.DEGRADATION_REASON_TIMEOUT))

Event = orchestrator_pb2.StreamGenerateResponse
Answer = types_pb2.Answer
_Name: TypeAlias = tuple[bytes, bool]


class Flight:
    """One attempt at an answer, and what has become of it so far.

    Args:
        name: what it is found by.
        call: the leader's; its deadline is the flight's.
        work: makes the events; the last one is `finished`. A unary one makes that one alone, with the text in it.
    """

    def __init__(self, name: _Name, call: Call, work: AsyncGenerator[Event, None]) -> None:
        self.name = name
        self.call = call
        self.seats = 1
        self.ended = False
        self._log = EventLog()
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self._end = asyncio.Event()
        self._task = asyncio.create_task(self._run(work))
        self._timer = asyncio.get_running_loop().call_at(call.deadline, self._expire)

    def takes(self, call: Call) -> bool:
        """Return whether another call may wait for this flight, and would be answered alike."""
        return (
            not self.ended
            and self.call.deadline <= call.deadline + TOLERANCE_SECONDS
            and self.call.retries_left == call.retries_left
        )

    def has_less_time_than(self, call: Call) -> bool:
        """Return whether a call's deadline is later than the flight's."""
        return call.deadline > self.call.deadline + TOLERANCE_SECONDS

    async def next(self, place: Place) -> Event | None:
        """Return what comes after a place and move the place on; None: nothing more comes.

        Raises:
            Exception: that of the work.
        """
        while (event := self._log.take(place)) is None:
            if self.ended:
                if self._error:
                    raise self._error
                return None
            await self._news.wait()
        return event

    async def answer(self) -> Answer:
        """Return the whole answer.

        Raises:
            Exception: that of the work.
        """
        await self._end.wait()
        if self._error:
            raise self._error
        return self._log.answer()

    async def leave(self) -> None:
        """Give up a seat; the last one to go before the end stops the work."""
        self.seats -= 1
        if self.seats == 0 and not self.ended:
            self.ended = True
            self._timer.cancel()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, work: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(work) as events:
                async for event in events:
                    self._log.add(event)
                    self._news.set()
                    self._news.clear()
        except asyncio.CancelledError:
            if self._error is None:
                self._error = Cancelled("the work on the answer was stopped; ask again")
        except Exception as error:  # noqa: BLE001 - it is raised to every caller
            self._error = error
        else:
            self._error = None
        finally:
            self.ended = True
            self._timer.cancel()
            self._news.set()
            self._end.set()

    def _expire(self) -> None:
        self._error = DeadlineExceeded("the deadline passed before there was an answer; grant more time")
        self._task.cancel()


class Flights:
    """The flights under way, by the cache's key of their question and whether they stream.

    Args:
        on_shared: is told the key and the call of everybody whom another request's attempt answered.
    """

    def __init__(self, on_shared: Callable[[bytes, Call], None]) -> None:
        self._on_shared = on_shared
        self._flights: dict[_Name, Flight] = {}

    async def answer(self, key: bytes, call: Call, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer of a flight that is under way, or of a new one that does the work.

        Raises:
            Exception: that of the work.
        """
        flight = self._join(call, (key, False), (key, True))
        if flight is None:
            return await self._lead((key, False), call, _single(work))
        answer = None
        try:
            answer = _shared(await flight.answer(), call)
        except LATE:
            if not flight.has_less_time_than(call):
                raise
        finally:
            await self._leave(flight)
        if answer is not None and not _worth_asking_anew(answer, flight.call, call):
            self._on_shared(key, call)
            return answer
        try:
            return await self.answer(key, call, work)
        except TandemError:
            if answer is None:
                raise
            return answer

    async def _lead(self, name: _Name, call: Call, work: AsyncGenerator[Event, None]) -> Answer:
        flight = self._start(name, call, work)
        try:
            return await flight.answer()
        finally:
            await self._leave(flight)

    async def stream(
        self, key: bytes, call: Call, work: Callable[[], AsyncGenerator[Event, None]]
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of a flight that is under way, or of a new one that does the work. Raises as `answer`."""
        seat = _Seat(call)
        while (flight := self._join(call, (key, True))) is not None:
            place = Place()
            try:
                while (event := await flight.next(place)) is not None:
                    if (own := seat.own(event)) is not None:
                        yield own
                self._on_shared(key, call)
            except LATE:
                if seat.saw_text or not flight.has_less_time_than(call):
                    raise
            else:
                return
            finally:
                await self._leave(flight)
        flight, place = self._start((key, True), call, work()), Place()
        try:
            while (event := await flight.next(place)) is not None:
                if not (seat.started and event.HasField("started")):
                    yield event
        finally:
            await self._leave(flight)

    def _join(self, call: Call, *names: _Name) -> Flight | None:
        """Take a seat in a flight that a call may wait for; None: there is none."""
        for name in names:
            flight = self._flights.get(name)
            if flight is not None and flight.takes(call):
                flight.seats += 1
                return flight
        return None

    def _start(self, name: _Name, call: Call, work: AsyncGenerator[Event, None]) -> Flight:
        """Start a flight; those who come next join this one, as it ends sooner or has more retries left."""
        flight = self._flights[name] = Flight(name, call, work)
        return flight

    async def _leave(self, flight: Flight) -> None:
        if flight.seats == 1 and self._flights.get(flight.name) is flight:
            del self._flights[flight.name]
        await flight.leave()


class _Seat:
    """What a follower of a stream has seen, and how it sees the rest."""

    def __init__(self, call: Call) -> None:
        self.started = False
        self.saw_text = False
        self._call = call
        self._ttft_ms: float | None = None

    def own(self, event: Event) -> Event | None:
        """Return an event as it is for this caller; None: it had one like it."""
        kind = event.WhichOneof("event")
        if kind == "started":
            return self._own_start(event)
        if kind == "finished":
            answer = _shared(event.finished.answer, self._call)
            if self._ttft_ms is not None:
                answer.ttft_ms = self._ttft_ms
            return Event(finished=orchestrator_pb2.Finished(answer=answer))
        if not self.saw_text:
            self.saw_text, self._ttft_ms = True, self._call.elapsed_ms()
        return event

    def _own_start(self, event: Event) -> Event | None:
        if self.started:
            return None
        self.started = True
        return Event(
            started=orchestrator_pb2.Started(
                request_id=self._call.request_id,
                plan=event.started.plan if event.started.HasField("plan") else None,
            )
        )


async def _single(work: Callable[[], Awaitable[Answer]]) -> AsyncGenerator[Event, None]:
    """Yield the one event of a flight that does not stream."""
    event = Event()
    event.finished.answer.MergeFrom(await work())
    yield event


def _shared(answer: Answer, call: Call) -> Answer:
    """Return a flight's answer for a caller that follows: tokens, attempts and cost are the leader's."""
    shared = Answer()
    shared.CopyFrom(answer)
    for name in ("attempts", "usage", "cost_nano_usd", "ttft_ms"):
        shared.ClearField(name)
    if answer.cache != types_pb2.CACHE_OUTCOME_HIT:
        shared.cache = types_pb2.CACHE_OUTCOME_SHARED
        shared.source_request_id = answer.request_id
    shared.request_id, shared.duration_ms = call.request_id, call.elapsed_ms()
    return shared


def _worth_asking_anew(answer: Answer, shared_by: Call, call: Call) -> bool:
    """Return whether an answer suffered from a haste that a call with at least as much time left need not share."""
    hurried = any(degradation.reason in _HURRIED for degradation in answer.degradations)
    return hurried and call.remaining() >= shared_by.deadline - shared_by.started
