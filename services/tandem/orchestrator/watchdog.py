"""Ends an attempt that is silent for too long, or that has used up its allowance.

It may go on until the request itself must end while nobody could answer instead, and when its allowance ends while it
writes at its usual pace: another model would have to read the prompt again, to write no more in the time that is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple, TypeVar

from tandem.errors import DeadlineExceeded

T = TypeVar("T")

BUSY_SECONDS: Final = 0.05
"""Pause before an attempt is looked at again whose reader is busy."""


class Limits(NamedTuple):
    """When an attempt counts as failed; times on the clock of `tandem.clock`."""

    allowance_end: float
    """When it must end if another model can answer better."""
    end: float
    """When it must end in any case."""
    patience: float
    """Seconds for the first token."""
    gap: float
    """Seconds from one token to the next."""


class Watchdog:
    """Watches one attempt from its start.

    Args:
        name: of the model, for messages.
        limits: when it has failed.
        replaceable: tells whether another model could answer now.
        going_well: tells whether the attempt writes its answer at the model's usual pace.
    """

    def __init__(
        self, name: str, limits: Limits, replaceable: Callable[[], bool], going_well: Callable[[], bool]
    ) -> None:
        self._name = name
        self._allowance_end = min(limits.allowance_end, limits.end)
        self._end = limits.end
        self._gap = limits.gap
        self._replaceable = replaceable
        self._going_well = going_well
        self.hung = False
        """Whether the attempt was given up for its silence."""
        self._silence = limits.patience
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._reader: asyncio.Task[object] | None = None
        self._barked = False

    async def next(self, source: AsyncIterator[T]) -> T | None:
        """Return what comes next from `source`, or None at its end.

        It does for every token what `asyncio.timeout` does, with one timer for all of them.

        Raises:
            DeadlineExceeded: nothing came for too long, and `hung` is true then, or the time is used up.
        """
        if self._timer is None:
            self._arm(self._limit())
        if self._loop.time() >= self._end:
            raise self._failure()
        self._reader = reader = asyncio.current_task()
        try:
            return await anext(source)
        except StopAsyncIteration:
            return None
        except asyncio.CancelledError:
            if not self._barked or reader is None or reader.uncancel() > 0:
                raise
            raise self._failure() from None
        finally:
            self._reader = None

    def heard(self) -> None:
        """Note that a token came."""
        self._heard_at = self._loop.time()
        if self._silence != self._gap:
            # After the first token patience is another one, and may end before the timer looks.
            self._silence = self._gap
            self.stop()
            self._arm(self._limit())

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _limit(self) -> float:
        return min(self._heard_at + self._silence, self._allowance_end)

    def _arm(self, when: float) -> None:
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        """Look whether a limit is reached, now that one may be."""
        now = self._loop.time()
        silent_until = self._heard_at + self._silence
        if now < min(silent_until, self._allowance_end):
            self._arm(self._limit())
        elif now < min(self._end, silent_until) and self._going_well():
            self._allowance_end = self._end
            self._arm(self._limit())
        elif now < self._end and not self._replaceable():
            self._silence = self._gap = self._end - self._heard_at
            self._allowance_end = self._end
            self._arm(self._end)
        elif self._reader is None:
            # Whoever reads is busy with what came before: that is not the model's fault.
            self._arm(now + BUSY_SECONDS)
        else:
            self._barked = True
            self._reader.cancel()

    def _failure(self) -> DeadlineExceeded:
        if self._loop.time() < self._allowance_end:
            silent_ms = self._silence * 1000.0
            self.hung = True
            return DeadlineExceeded(
                f"{self._name} gave no token for {silent_ms:.0f} ms, longer than it ever takes; its engine may hang"
            )
        return DeadlineExceeded(f"{self._name} did not finish in its time; grant more time or fewer tokens")
