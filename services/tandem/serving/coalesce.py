"""Fewer, larger messages when many streams are active.

A streamed message costs its sender and its receiver about 0.1 to 0.2 ms whatever its size, so a process can be busy
with nothing but messages. Tokens that arrive while the previous message is being written, or within a short interval
after it, travel together. What a stream begins with never waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Generic, TypeVar

from tandem.clock import now

M = TypeVar("M")

MESSAGES_PER_SECOND: Final = 500
"""What all streams of a process together aim to stay below; each gets an equal part."""

PROMPT_MESSAGES: Final = 2
"""Messages at the beginning of a stream that never wait: the event that it started, and the first token."""


class Coalescer(Generic[M]):
    """Merges neighbouring messages of the streams that pass through it.

    `merge(earlier, later)` appends `later` to `earlier` and returns True, or returns False if they must stay apart.
    """

    def __init__(self, merge: Callable[[M, M], bool]) -> None:
        self._merge = merge
        self._active = 0

    async def stream(self, source: AsyncGenerator[M, None]) -> AsyncGenerator[M, None]:
        """Pass on what `source` yields, merged; closing the result closes `source`."""
        inbox = _Inbox(self._merge)
        pump = asyncio.create_task(inbox.fill(source))
        self._active += 1
        sent, sent_at = 0, 0.0
        try:
            while await inbox.wait():
                if sent >= PROMPT_MESSAGES:
                    await inbox.pause(sent_at + self._active / MESSAGES_PER_SECOND - now())
                sent, sent_at = sent + 1, now()
                yield inbox.pending.popleft()
            await pump
        finally:
            self._active -= 1
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)


async def held_back(
    source: AsyncGenerator[M, None], merge: Callable[[M, M], bool], seconds: float
) -> AsyncGenerator[M, None]:
    """Pass on what `source` yields where nobody reads along: after the first message, one in so many seconds.

    Needs neither task nor timer, which is half of the price of a short answer: what is held back goes with a later
    message, at the end, or before an error. `merge` is that of `Coalescer`; closing the result closes `source`.
    """
    held: M | None = None
    sent_at = float("-inf")
    async with aclosing(source):
        try:
            async for message in source:
                if held is None:
                    held = message
                elif not merge(held, message):
                    yield held
                    held = message
                if now() - sent_at >= seconds:
                    yield held
                    held, sent_at = None, now()
        except Exception:
            if held is not None:
                yield held
            raise
        if held is not None:
            yield held


class _Inbox(Generic[M]):
    """What has arrived from one source and was not passed on yet."""

    def __init__(self, merge: Callable[[M, M], bool]) -> None:
        self.pending: deque[M] = deque()
        self._merge = merge
        self._arrived = asyncio.Event()
        self._flush = asyncio.Event()
        self._ended = False

    async def fill(self, source: AsyncGenerator[M, None]) -> None:
        try:
            async for message in source:
                if not (self.pending and self._merge(self.pending[-1], message)):
                    self.pending.append(message)
                self._arrived.set()
        finally:
            self._ended = True
            self._flush.set()
            self._arrived.set()
            await source.aclose()

    async def wait(self) -> bool:
        """Return True when something is pending, False when nothing more will come."""
        while not self.pending:
            if self._ended:
                return False
            self._arrived.clear()
            await self._arrived.wait()
        return True

    async def pause(self, seconds: float) -> None:
        """Let more arrive for some time, at most until the source ends."""
        if seconds <= 0 or self._ended:
            return
        self._flush.clear()
        timer = asyncio.get_running_loop().call_later(seconds, self._flush.set)
        try:
            await self._flush.wait()
        finally:
            timer.cancel()
