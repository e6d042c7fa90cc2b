"""The orchestrator's health: it can answer while a tier can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tandem.call import Call
from tandem.clock import now
from tandem.errors import TandemError
from tandem.protocols import Inference

CHECK_SECONDS: Final = 1.0
"""Longest wait for a tier's answer."""


def tier_check(tiers: Mapping[str, Inference], service: str) -> Callable[[], Awaitable[dict[str, bool]]]:
    """Return a check of the whole, of the service, and of every tier by its name."""

    async def check() -> dict[str, bool]:
        found = dict(zip(tiers, await asyncio.gather(*map(_ready, tiers.values())), strict=True))
        return {**dict.fromkeys(("", service), any(found.values())), **found}

    return check


async def _ready(inference: Inference) -> bool:
    asked = now()
    try:
        capabilities = await inference.get_capabilities(Call("health", asked + CHECK_SECONDS, asked))
    except TandemError:
        return False
    return any(variant.ready for variant in capabilities.variants)
