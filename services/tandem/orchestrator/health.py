"""The orchestrator's health: it can answer while a tier can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tandem.call import Call
from tandem.clock import now
from tandem.errors import TandemError
from tandem.protocols import Inference
from tandem.v1 import inference_pb2

CHECK_SECONDS: Final = 1.0
"""Longest wait for a tier's answer."""

Check = Callable[[], Awaitable[dict[str, bool]]]
Capabilities = inference_pb2.GetCapabilitiesResponse


def tier_check(
    tiers: Mapping[str, Inference],
    service: str,
    note: Callable[[str, Capabilities], None] = lambda tier, capabilities: None,
) -> Check:
    """Return a check of the whole, of the service, and of every tier by its name; `note` is told what a tier can do."""

    async def check() -> dict[str, bool]:
        asked = await asyncio.gather(*map(_asked, tiers.values()))
        for name, capabilities in zip(tiers, asked, strict=True):
            if capabilities is not None:
                note(name, capabilities)
        found = dict(zip(tiers, map(_able, asked), strict=True))
        return {**dict.fromkeys(("", service), any(found.values())), **found}

    return check


async def _asked(inference: Inference) -> Capabilities | None:
    """Return what a tier can do; None: it does not say."""
    asked = now()
    try:
        return await inference.get_capabilities(Call("health", asked + CHECK_SECONDS, asked))
    except TandemError:
        return None


def _able(capabilities: Capabilities | None) -> bool:
    return capabilities is not None and any(each.ready or each.asleep for each in capabilities.variants)
