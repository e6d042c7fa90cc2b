"""A block of load: so many requests at a time, each followed by the next, seen through a window of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from question import Ask

LEAVE_SECONDS: Final = 10.0
"""How long the last requests of a block get to finish."""


class RequestStuck(Exception):
    """A request did not end."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many requests at a time, for how long.

    `ramp_seconds` pass before the window opens; the first requests are spread evenly over them.
    """

    at_once: int
    seconds: float
    ramp_seconds: float


@dataclass(slots=True)
class Block:
    """What was seen in the window.

    `requests` and `tokens` are those that finished or arrived within it; `latency_ms` and `first_token_ms` are those of
    the requests that also began within it. `cpu_seconds` is what the processes under test used meanwhile.
    """

    seconds: float = 0.0
    requests: int = 0
    tokens: int = 0
    cpu_seconds: float = 0.0
    latency_ms: list[float] = field(default_factory=list)
    first_token_ms: list[float] = field(default_factory=list)


async def run_block(ask: Ask, load: Load, cpu: Callable[[], float]) -> Block:
    """Ask again and again and return what happened; `cpu` gives the CPU seconds that the processes under test used.

    Raises:
        RequestStuck: a request did not end.
        Exception: that of the first request that failed.
    """
    window = _Window()
    workers = [
        asyncio.create_task(_work(ask, window, load.ramp_seconds * index / load.at_once))
        for index in range(load.at_once)
    ]
    try:
        await _pass_time(workers, load.ramp_seconds)
        used = cpu()
        window.open()
        await _pass_time(workers, load.seconds)
        window.close()
        window.block.cpu_seconds = cpu() - used
        await _pass_time(workers, LEAVE_SECONDS)
        if not all(worker.done() for worker in workers):
            raise RequestStuck(f"a request has had no end {LEAVE_SECONDS:.0f} s after the load")
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return window.block


async def _work(ask: Ask, window: _Window, delay_seconds: float) -> None:
    await asyncio.sleep(delay_seconds)
    while not window.over:
        await window.watch(ask)


async def _pass_time(workers: list[asyncio.Task[None]], seconds: float) -> None:
    """Wait until the time is over or all workers have ended; raise what made one fail."""
    done, _ = await asyncio.wait(workers, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for worker in done:
        worker.result()


class _Window:
    """Counts what happens between `open` and `close`."""

    def __init__(self) -> None:
        self.block = Block()
        self.over = False
        self._opened: float | None = None

    def open(self) -> None:
        self._opened = time.perf_counter()

    def close(self) -> None:
        if self._opened is not None:
            self.block.seconds = time.perf_counter() - self._opened
        self.over = True

    async def watch(self, ask: Ask) -> None:
        """Ask once."""
        began, inside, first_ms = time.perf_counter(), self._inside, None

        def on_tokens(count: int) -> None:
            nonlocal first_ms
            if first_ms is None:
                first_ms = (time.perf_counter() - began) * 1000.0
            if self._inside:
                self.block.tokens += count

        await ask(on_tokens)
        if not self._inside:
            return
        self.block.requests += 1
        if inside and first_ms is not None:
            self.block.latency_ms.append((time.perf_counter() - began) * 1000.0)
            self.block.first_token_ms.append(first_ms)

    @property
    def _inside(self) -> bool:
        return self._opened is not None and not self.over
