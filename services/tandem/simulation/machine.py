"""A simulated accelerator with its engines: places, speed under load, and what is wrong with it at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tandem.call import Call
from tandem.catalogue import Variant
from tandem.clock import now
from tandem.errors import DeadlineExceeded, OutOfMemory
from tandem.simulation.episodes import Episodes, Span

FULL: Final = 1.5
"""Time per token when all places are taken, as a multiple of that of an attempt alone, where nothing else is said."""
SLOW: Final = 3.0
"""The same in a slow episode."""
ALLOCATION_SECONDS: Final = 0.02
"""After this an attempt is told that memory has run out."""
FITS: Final = 0.25
"""Part of the places that memory suffices for while it is short."""


@dataclass(frozen=True, slots=True)
class Weather:
    """Spans in which something is wrong with one tier."""

    outages: Sequence[Span] = ()
    """It is dead: what is under way breaks off, what comes is refused."""
    hangs: Sequence[Span] = ()
    """Its first variant takes what comes and gives nothing, until it is started anew and all of that breaks off."""
    shortages: Sequence[Span] = ()
    """Its first variant has memory for a part of its places; what is more fails."""
    slow: Sequence[Span] = ()
    """Everything takes longer."""


CALM: Final = Weather()
"""Nothing is wrong."""


class Machine:
    """What the variants of a tier share: the computing time.

    Args:
        places: attempts that it computes at a time before each further one slows down all others in proportion.
        weather: what is wrong with it, and when.
        full: time per token when all places are taken, as a multiple of that of an attempt alone.
    """

    def __init__(self, places: int, weather: Weather, full: float = FULL) -> None:
        self._places = places
        self._full = full
        self._slow = Episodes(weather.slow)
        self.outages = Episodes(weather.outages)
        self.active = 0
        """Attempts that have a place in one of its engines."""

    def slowness(self) -> float:
        """Return the time per token now, as a multiple of that of an attempt alone."""
        load = self.active / self._places
        slow = SLOW if self._slow.cover(now()) else 1.0
        return slow * max(1.0 + (self._full - 1.0) * load, self._full * load)


class Engine:
    """One variant on a machine.

    Args:
        variant: how many attempts it takes at a time, and how fast it is when it has nothing else to do.
        machine: what it runs on.
        weather: what is wrong with this variant, and when.
    """

    def __init__(self, variant: Variant, machine: Machine, weather: Weather) -> None:
        self.latency = variant.latency
        self.machine = machine
        self.hangs = Episodes(weather.hangs)
        self.attempts = 0
        """Attempts that reached it since the start."""
        self.in_flight = 0
        """Attempts that have a place."""
        self._model = variant.model
        self._places = variant.concurrency
        self._shortages = Episodes(weather.shortages)
        self._queue: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(self, call: Call) -> AsyncIterator[None]:
        """Hold a place while the context is open; who comes first is served first.

        Raises:
            DeadlineExceeded: none became free before the call's deadline.
            OutOfMemory: memory is short.
        """
        self.attempts += 1
        if self._shortages.cover(now()) and self.in_flight >= FITS * self._places:
            await asyncio.sleep(ALLOCATION_SECONDS)
            raise OutOfMemory(f"{self._model} has no memory left for a further answer; retry later")
        if self.in_flight >= self._places:
            await self._wait(call)
        else:
            self._take()
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, call: Call) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout_at(call.deadline):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave()
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded(
                    f"{self._model} had no place free in time; retry later or grant more time"
                ) from None
            raise

    def _take(self) -> None:
        self.in_flight += 1
        self.machine.active += 1

    def _leave(self) -> None:
        self.in_flight -= 1
        self.machine.active -= 1
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                self._take()
                turn.set_result(None)
                return
