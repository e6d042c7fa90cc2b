"""The one clock of requests."""

from __future__ import annotations

import asyncio


def now() -> float:
    """Return seconds on the clock of the running event loop.

    That is `time.monotonic()`, unless the loop is one of `tandem.simulation.virtual_time`: so deadlines can be
    tested and simulated without waiting.

    Raises:
        RuntimeError: no event loop runs.
    """
    return asyncio.get_running_loop().time()
