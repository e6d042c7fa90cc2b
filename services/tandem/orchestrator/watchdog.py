"""Ends an attempt that is silent for too long, or that has used up its allowance.

It may go on until the request itself must end while nobody could answer instead, and when its allowance ends while it
writes at its usual pace: another model would have to read the prompt again, to write no more in the time that is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from tandem.clock import now
from tandem.errors import DeadlineExceeded

T = TypeVar("T")

BUSY_SECONDS: Final = 0.05
"""Pause before an attempt is looked at again whose reader is busy."""


@dataclass(frozen=True, slots=True)
class Limits:
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
        self._silent_for = limits.patience
        self._silent_until = now() + limits.patience
        self._scope: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def next(self, source: AsyncIterator[T]) -> T | None:
        """Return what comes next from `source`, or None at its end.

        Raises:
            DeadlineExceeded: nothing came for too long, and `hung` is true then, or the time is used up.
        """
        if self._timer is None:
            self._arm(self._limit())
        if now() >= self._end:
            raise self._failure()
        try:
            async with asyncio.timeout(None) as self._scope:
                return await anext(source)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            raise self._failure() from None
        finally:
            self._scope = None

    def heard(self) -> None:
        """Note that a token came."""
        self._silent_for = self._gap
        self._silent_until = now() + self._gap
        if self._timer is not None and self._limit() < self._timer.when():
            self._timer.cancel()
            self._arm(self._limit())

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _limit(self) -> float:
        return min(self._silent_until, self._allowance_end)

    def _arm(self, when: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        """Look whether a limit is reached, now that one may be."""
        if now() < self._limit():
            self._arm(self._limit())
        elif now() < min(self._end, self._silent_until) and self._going_well():
            self._allowance_end = self._end
            self._arm(self._limit())
        elif now() < self._end and not self._replaceable():
            self._silent_until = self._allowance_end = self._end
            self._arm(self._end)
        elif self._scope is None:
            # Whoever reads is busy with what came before: that is not the model's fault.
            self._arm(now() + BUSY_SECONDS)
        else:
            self._scope.reschedule(now())

    def _failure(self) -> DeadlineExceeded:
        if now() < self._allowance_end:
            what = f"{self._name} gave no token for {self._silent_for * 1000.0:.0f} ms, longer than it ever takes"
            self.hung = True
            return DeadlineExceeded(f"{what}; its engine may hang")
        return DeadlineExceeded(f"{self._name} did not finish in its time; grant more time or fewer tokens")
