"""The engine's own count of the tokens it made, as Triton publishes it."""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request
from dataclasses import dataclass
from typing import Final

PUBLISHED_SECONDS: Final = 0.05
"""An engine publishes its counts this often."""
_LINE: Final = re.compile(r'^tandem_engine_(\w+)_total\{.*?model="([^"]+)".*?\} ([0-9.e+]+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EngineBooks:
    """Reads Triton's metrics."""

    metrics_url: str

    async def read(self, what: str = "output_tokens") -> dict[str, int]:
        """Return a count by model, of everything up to now."""
        text = await asyncio.to_thread(self._fetch)
        return {model: round(float(value)) for kind, model, value in _LINE.findall(text) if kind == what}

    async def total(self, what: str = "output_tokens") -> int:
        """Return a count over all models."""
        return sum((await self.read(what)).values())

    async def settled(self, what: str = "output_tokens") -> dict[str, int]:
        """Return a count by model once it includes everything made before the call."""
        await asyncio.sleep(3 * PUBLISHED_SECONDS)
        return await self.read(what)

    async def stood_still_after(self, started: float, watch_seconds: float = 0.8) -> float:
        """Return how many seconds after `started` the tokens stopped, as far as publication tells.

        Watches for `watch_seconds`, and until the count has stood still for half of that.
        """
        last, changed = await self.total(), time.monotonic()
        while (now := time.monotonic()) < started + watch_seconds or now < changed + watch_seconds / 2:
            await asyncio.sleep(0.01)
            count = await self.total()
            if count != last:
                last, changed = count, time.monotonic()
            assert time.monotonic() < started + 10 * watch_seconds, "the engine does not stop"
        return changed - started

    def _fetch(self) -> str:
        with urllib.request.urlopen(self.metrics_url, timeout=5.0) as response:  # noqa: S310 - Triton's, on loopback
            return str(response.read(), "utf-8")
