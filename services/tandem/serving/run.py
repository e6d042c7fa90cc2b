"""Runs a server until it is told to stop, and keeps its health current meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tandem.serving.garbage import ignore_what_exists
from tandem.serving.server import Server, stop_signal

HEALTH_SECONDS: Final = 1.0
"""Time between two looks at what a service depends on."""

HealthCheck = Callable[[], Awaitable[dict[str, bool]]]
"""Returns the health of each service name; the empty name is the server as a whole."""


async def run(server: Server, health: HealthCheck) -> None:
    """Start the server, serve until SIGTERM or SIGINT, then drain."""
    async with stop_signal() as stop:
        await server.start()
        ignore_what_exists()
        monitor = asyncio.create_task(watch(server, health))
        await stop.wait()
        monitor.cancel()
        await asyncio.wait([monitor])
        await server.drain()


async def watch(server: Server, health: HealthCheck) -> None:
    """Keep the server's health current; runs until it is cancelled."""
    while True:
        server.set_health(await health())
        await asyncio.sleep(HEALTH_SECONDS)


def always_healthy(*names: str) -> HealthCheck:
    """Return the check of a service that depends on nothing."""

    async def check() -> dict[str, bool]:
        return dict.fromkeys(("", *names), True)

    return check
