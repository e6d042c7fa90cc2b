"""How many Tritons a tier has: each bears the catalogue's concurrency of a variant."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Final

from tandem.serving.addresses import Address, addresses_of

CONNECT_SECONDS: Final = 1.0
"""Longest wait for a connection."""


class Instances:
    """Counts the addresses of a target that take connections: a Triton does so when it has loaded its models."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.count = 0
        """How many there were at the last look; 0: none, or they cannot be counted."""

    async def look(self) -> None:
        """Count them. One that has an address of each family is one."""
        found = list(await addresses_of(self._target))
        open_ones = await asyncio.gather(*map(_takes_connections, found))
        families = Counter(
            ":" in host for (host, _), is_open in zip(found, open_ones, strict=True) if is_open
        )
        self.count = max(families.values(), default=0)


async def _takes_connections(address: Address) -> bool:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(*address)
    except OSError:  # TimeoutError among them
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
