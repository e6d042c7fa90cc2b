"""Which Triton serves which tier, as `--triton-url` says it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tandem.embedded.errors import EmbeddedError

_URL: Final = re.compile(r"(?:(?P<tier>[^=]*)=)?(?P<address>[^=]+:\d+)")


class TritonUrlInvalid(EmbeddedError):
    """`--triton-url` does not say where each tier's Triton is."""


def addresses_by_tier(urls: Sequence[str], tiers: Sequence[str]) -> dict[str, str]:
    """Return the address of each tier's Triton; empty if there are no `urls`, so that one is to be started.

    Args:
        urls: `HOST:PORT` for every tier that no other one names, or `TIER=HOST:PORT`.
        tiers: the catalogue's tiers.

    Raises:
        TritonUrlInvalid: one cannot be read, two are for the same tier, or a tier has none.
    """
    named: dict[str, str] = {}
    for url in urls:
        match = _URL.fullmatch(url)
        if match is None:
            raise TritonUrlInvalid(f"--triton-url {url} is neither HOST:PORT nor TIER=HOST:PORT.")
        tier = match["tier"]
        if tier is not None and tier not in tiers:
            raise TritonUrlInvalid(
                f"--triton-url {url} names the tier {tier!r}, which the catalogue does not have; it has "
                f"{', '.join(tiers)}."
            )
        if (tier or "") in named:
            raise TritonUrlInvalid(
                f"--triton-url {url} is the second one for {tier or 'all tiers'}; give one."
            )
        named[tier or ""] = match["address"]
    missing = [] if "" in named or not named else [tier for tier in tiers if tier not in named]
    if missing:
        options = " ".join(f"--triton-url {tier}=HOST:PORT" for tier in missing)
        raise TritonUrlInvalid(
            f"--triton-url says nothing about {', '.join(missing)}: add {options}, or HOST:PORT without a tier."
        )
    return {tier: named.get(tier, named.get("", "")) for tier in tiers} if named else {}
