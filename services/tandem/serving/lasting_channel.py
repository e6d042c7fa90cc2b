"""A channel that outlives what gRPC's own do not: new certificates, more addresses, a name that has none for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import grpc
import grpc.aio

from tandem.clock import now
from tandem.followed_file import POLL_SECONDS
from tandem.serving.addresses import Address

STUCK_SECONDS: Final = 8.0
"""After so long without a connection a fresh channel is tried. gRPC's resolver waits for up to two minutes until it
asks again for a name that had no address, and nothing but a new channel makes it ask sooner."""
SETTLED_SECONDS: Final = 8.0
"""A channel is not replaced sooner because there are more addresses: those that come one by one are found together. It
is when none is left of those it knows, as when the sole pod of a Service is replaced while its caller is."""
RETIRED_SECONDS: Final = 3600.0
"""Longest time that calls on a channel that was replaced may go on."""


async def _nowhere() -> frozenset[Address]:
    return frozenset()


class LastingChannel(grpc.aio.Channel):
    """Makes every call on the newest channel that has a connection.

    Args:
        open_one: opens a channel, which begins to connect at once.
        outdated: says whether what `open_one` goes by has changed since the last look.
        addresses: returns where it leads now. gRPC asks again only when it loses a connection, so that what is added
            would get no calls; a fresh channel finds it.
    """

    def __init__(
        self,
        open_one: Callable[[], grpc.aio.Channel],
        outdated: Callable[[], bool],
        addresses: Callable[[], Awaitable[frozenset[Address]]] = _nowhere,
    ) -> None:
        self._open, self._outdated, self._addresses = open_one, outdated, addresses
        self._known: frozenset[Address] = frozenset()
        self.now = open_one()
        self._next: grpc.aio.Channel | None = None
        self._opened = now()
        self._watching: asyncio.Task[None] | None = None
        self._retired: set[asyncio.Task[None]] = set()

    def watch(self) -> None:
        """Begin to look after the channel, if that has not begun yet."""
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def __aenter__(self) -> Self:
        self.watch()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Close it; calls that run get `grace` seconds."""
        tasks = [*self._retired, *([self._watching] if self._watching else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._drop_next()
        await self.now.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the channel in use."""
        return self.now.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the channel in use has another state."""
        await self.now.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel in use has a connection."""
        await self.now.channel_ready()

    def unary_unary(self, *arguments: Any, **named: Any) -> Any:
        """Return what makes calls of one method."""
        return _Method(self, lambda channel: channel.unary_unary(*arguments, **named))

    def unary_stream(self, *arguments: Any, **named: Any) -> Any:
        """Return what makes calls of one method."""
        return _Method(self, lambda channel: channel.unary_stream(*arguments, **named))

    def stream_unary(self, *arguments: Any, **named: Any) -> Any:
        """Return what makes calls of one method."""
        return _Method(self, lambda channel: channel.stream_unary(*arguments, **named))

    def stream_stream(self, *arguments: Any, **named: Any) -> Any:
        """Return what makes calls of one method."""
        return _Method(self, lambda channel: channel.stream_stream(*arguments, **named))

    async def _watch(self) -> None:
        self._known = await self._addresses()
        while True:
            # What is about to take over is looked at more often.
            await asyncio.sleep(POLL_SECONDS if self._next is None else POLL_SECONDS / 20)
            await self._look()

    async def _look(self) -> None:
        stuck = not _connected(self.now) and now() - self._opened > STUCK_SECONDS
        if self._outdated() or stuck or await self._has_more():
            await self._drop_next()
            self._next, self._opened = self._open(), now()
        elif self._next is not None and _connected(self._next):
            self._take_over(self._next)

    async def _has_more(self) -> bool:
        """Whether there are addresses that the channel in use does not know."""
        if self._next is not None:
            return False
        found = await self._addresses()
        more = bool(self._known) and not found <= self._known
        if more and found & self._known and now() - self._opened < SETTLED_SECONDS:
            return False
        self._known = found or self._known
        return more

    def _take_over(self, successor: grpc.aio.Channel) -> None:
        task = asyncio.get_running_loop().create_task(self.now.close(RETIRED_SECONDS))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)
        self.now, self._next = successor, None

    async def _drop_next(self) -> None:
        if self._next is not None:
            await self._next.close()
            self._next = None


class _Method:
    """One method, called on the channel that is in use."""

    def __init__(self, lasting: LastingChannel, bind: Callable[[grpc.aio.Channel], Any]) -> None:
        self._lasting, self._bind = lasting, bind
        self._channel, self._call = lasting.now, bind(lasting.now)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        lasting = self._lasting
        lasting.watch()
        if self._channel is not lasting.now:
            self._channel, self._call = lasting.now, self._bind(lasting.now)
        return self._call(*arguments, **named)


def _connected(channel: grpc.aio.Channel) -> bool:
    return channel.get_state() is grpc.ChannelConnectivity.READY
