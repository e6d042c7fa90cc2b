"""Who may use a model next: earliest deadline first, nobody waits for ever, and what cannot be in time is told early.

When one more request would make any of them too late, the one that loses least by another model's answer is refused at
once, so that what is left of its time can be used elsewhere.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tandem.clock import now
from tandem.errors import Details, Overloaded
from tandem.orchestrator.limit import ConcurrencyLimit

HOLD_SHARE: Final = 0.1
"""How much the newest attempt counts in the mean time that a place is held."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request needs of a place."""

    deadline: float
    """When the request must be answered, on the clock of `tandem.clock`: the earliest is served first."""
    latest_start: float
    """When the attempt must start, else it is refused."""
    loss: float = float("inf")
    """What is lost when another model answers instead; infinite if none can."""


@dataclass(slots=True, order=True)
class _Waiting:
    """A request that waits; in the order in which they are served."""

    deadline: float
    number: int
    claim: Claim = field(compare=False)
    since: float = field(compare=False)
    turn: asyncio.Future[None] = field(compare=False)


class Admission:
    """The places of one model.

    Args:
        name: for messages.
        limit: how many there are.
        hold_ms: how long one is held at first; learned from then on.
        starvation_ms: who waits longer than this comes before all others.
        most_waiting: more are refused at once.
    """

    def __init__(
        self, name: str, limit: ConcurrencyLimit, hold_ms: float, starvation_ms: float, most_waiting: int
    ) -> None:
        self._name = name
        self._limit = limit
        self._hold_ms = hold_ms
        self._starvation = starvation_ms / 1000.0
        self._most_waiting = most_waiting
        self._by_deadline: list[_Waiting] = []
        self._by_arrival: OrderedDict[int, _Waiting] = OrderedDict()
        self._arrivals = 0
        self.in_flight = 0
        """Attempts under way."""
        self.shed = 0
        """Requests that were refused since the start."""

    def adopt(self, starvation_ms: float, most_waiting: int) -> None:
        """Go on with other numbers, and with as many places as the limit has now. Whoever waits goes on waiting."""
        self._starvation, self._most_waiting = starvation_ms / 1000.0, most_waiting
        self.serve()

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._by_deadline)

    def wait_ms(self, deadline: float) -> float:
        """Return how long a request with this deadline is expected to wait for a place, in milliseconds."""
        limit = self._limit.value
        if self.in_flight < limit and not self._by_deadline:
            return 0.0
        return max(0, self._ahead(deadline) + 1 + self.in_flight - limit) * self._hold_ms / limit

    def place(self, claim: Callable[[], Claim]) -> Place:
        """Return a context that holds a place; `claim` is asked only if there is none free."""
        return Place(self, claim)

    async def enter(self, claim: Callable[[], Claim]) -> None:
        """Take a place.

        Raises:
            Overloaded: none becomes free in time.
        """
        if self.waiting or self.in_flight >= self._limit.value:
            await self._wait(claim())
        else:
            self.in_flight += 1

    def leave(self, started: float) -> None:
        """Give a place back that was held since then."""
        self.in_flight -= 1
        self._hold_ms += HOLD_SHARE * ((now() - started) * 1000.0 - self._hold_ms)
        self.serve()

    async def _wait(self, claim: Claim) -> None:
        self._make_room(claim)
        entry = self._enqueue(claim)
        try:
            async with asyncio.timeout_at(claim.latest_start):
                await entry.turn
        except BaseException as error:
            self._give_up(entry)
            if isinstance(error, TimeoutError):
                raise self._refusal(claim) from None
            raise

    def _make_room(self, claim: Claim) -> None:
        """Refuse whoever loses least, the claim or somebody who waits, until all others are expected to be in time."""
        place = self._ahead(claim.deadline)
        while (late := self._first_late(claim, place)) is not None:
            line = self._line(claim, place)[: late + 1]
            # Among those who lose as much as each other it is the one who would be served last.
            least = min(range(len(line)), key=lambda index: (line[index].loss, -index))
            if least == place:
                raise self._refusal(claim)
            self._refuse(self._by_deadline[least if least < place else least - 1])
            place -= least < place

    def _line(self, claim: Claim, place: int) -> list[Claim]:
        """Return the claims of all who wait, in the order in which they are served, with a further one at a place."""
        line = [entry.claim for entry in self._by_deadline]
        line.insert(place, claim)
        return line

    def _first_late(self, claim: Claim, place: int) -> int | None:
        """Return the position of the first one in the line who would start too late; None: all are in time."""
        if self.waiting >= self._most_waiting:
            return self.waiting
        limit, arrived = self._limit.value, now()
        each = self._hold_ms / 1000.0 / limit
        for position, waiting in enumerate(self._line(claim, place)):
            wait = max(0, position + 1 + self.in_flight - limit) * each
            if position >= place and arrived + wait > waiting.latest_start:
                return position
        return None

    def _refuse(self, entry: _Waiting) -> None:
        self._dequeue(entry)
        if not entry.turn.done():
            entry.turn.set_exception(self._refusal(entry.claim))

    def _ahead(self, deadline: float) -> int:
        """Return how many of those who wait are served before a request with this deadline."""
        return bisect_right(self._by_deadline, deadline, key=lambda entry: entry.deadline)

    def _enqueue(self, claim: Claim) -> _Waiting:
        self._arrivals += 1
        turn = asyncio.get_running_loop().create_future()
        entry = _Waiting(claim.deadline, self._arrivals, claim, now(), turn)
        insort(self._by_deadline, entry)
        self._by_arrival[entry.number] = entry
        return entry

    def _dequeue(self, entry: _Waiting) -> None:
        del self._by_arrival[entry.number]
        del self._by_deadline[bisect_left(self._by_deadline, entry)]

    def serve(self) -> None:
        """Give free places to those who are next: some have become free, or the limit has risen."""
        while self._by_deadline and self.in_flight < self._limit.value:
            entry = self._next()
            self._dequeue(entry)
            # Whoever was cancelled and has not run since leaves by itself.
            if not entry.turn.done():
                self.in_flight += 1
                entry.turn.set_result(None)

    def _next(self) -> _Waiting:
        oldest = next(iter(self._by_arrival.values()))
        return oldest if now() - oldest.since > self._starvation else self._by_deadline[0]

    def _give_up(self, entry: _Waiting) -> None:
        """Leave the queue, or give the place back that came too late."""
        if entry.number in self._by_arrival:
            self._dequeue(entry)
        elif not entry.turn.cancelled() and entry.turn.exception() is None:
            self.in_flight -= 1
            self.serve()

    def _refusal(self, claim: Claim) -> Overloaded:
        self.shed += 1
        wait_seconds = self.wait_ms(claim.deadline) / 1000.0
        return Overloaded(
            f"{self._name} has {self.in_flight} requests under way and {self.waiting} waiting, so that this one would "
            f"start in {wait_seconds:.1f} s, too late for its deadline; retry later or grant more time",
            Details(retry_after_seconds=max(0.1, wait_seconds)),
        )


class Place:
    """A place of a model, held while the context is open; gives how long it was waited for, in milliseconds."""

    __slots__ = ("_admission", "_claim", "_started")

    def __init__(self, admission: Admission, claim: Callable[[], Claim]) -> None:
        self._admission = admission
        self._claim = claim
        self._started = now()

    async def __aenter__(self) -> float:
        began = self._started
        await self._admission.enter(self._claim)
        self._started = now()
        return (self._started - began) * 1000.0

    async def __aexit__(self, *_: object) -> None:
        self._admission.leave(self._started)
