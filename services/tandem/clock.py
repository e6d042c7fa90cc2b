"""The one clock of requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_read = time.monotonic


def now() -> float:
    """Return seconds on the clock of the event loop.

    That is `time.monotonic()`, unless the loop is one of `tandem.simulation.virtual_time`: so deadlines can be
    tested and simulated without waiting.
    """
    # Asking the running loop for it takes five times as long, and every request looks some forty times.
    return _read()


@contextmanager
def running_on(read: Callable[[], float]) -> Iterator[None]:
    """Let `now` read another clock meanwhile."""
    global _read  # noqa: PLW0603 - a process has one clock
    before, _read = _read, read
    try:
        yield
    finally:
        _read = before
