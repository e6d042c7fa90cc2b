"""An asyncio event loop whose time jumps to the next timer instead of waiting for it.

What runs on it takes no time unless it sleeps, so an hour of deadlines passes in the time that the code itself needs,
and every run gives the same result. Network and threads have no place on it: they take real time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from tandem.clock import running_on

T = TypeVar("T")


class NothingHappens(RuntimeError):
    """The code waits for something that no timer and no other task will bring about."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, which starts at 0 seconds."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jump(self))

    def run_forever(self) -> None:
        """Run until stopped, and let the clock of requests be this loop's meanwhile."""
        with running_on(self.time):
            super().run_forever()

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class _Jump(selectors.DefaultSelector):
    """A selector that lets the loop's time pass where another one would wait."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now; if nothing is, it is `timeout` seconds later."""
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout is None:
            raise NothingHappens("every task waits, and no timer is set")
        if not ready and timeout:
            self._loop.advance(timeout)
        return ready


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time and return its result."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
