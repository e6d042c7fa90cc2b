"""One thread budget over all models: threads beyond the cores make every model slower."""

from __future__ import annotations

import os
from collections.abc import Sequence


def available_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0))


def thread_budget(cores: int, tiers: Sequence[str]) -> dict[str, int]:
    """Return the threads of each tier: the cores split evenly, the later tiers first when some are left, 1 at least.

    Variants of a tier share its threads, since the fallback's variant runs instead of the primary.
    """
    share, left = divmod(cores, len(tiers))
    first_with_more = len(tiers) - left
    return {tier: max(1, share + (index >= first_with_more)) for index, tier in enumerate(tiers)}
