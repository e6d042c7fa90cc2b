"""Direct and through Tandem, block beside block: what the difference is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

import numpy as np

from closed_loop import Block

Times = Literal["latency_ms", "first_token_ms"]


@dataclass(slots=True)
class Pairs:
    """Blocks of the same load; those at the same position ran one right after the other."""

    direct: list[Block] = field(default_factory=list)
    through: list[Block] = field(default_factory=list)

    def added_ms(self, quantile: float, times: Times = "latency_ms") -> float:
        """Return by how much a quantile of the times through Tandem is above that of the direct ones.

        Raises:
            NothingMeasured: no request began and ended within the blocks.
        """
        return quantile_ms(self.through, quantile, times) - quantile_ms(self.direct, quantile, times)

    def token_ratio(self) -> float:
        """Return tokens per second through Tandem over direct ones: the median over the pairs."""
        return median(
            (through.tokens / through.seconds) / (direct.tokens / direct.seconds)
            for direct, through in zip(self.direct, self.through, strict=True)
        )

    def cpu_ms_per_request(self) -> float:
        """Return the CPU time of Tandem for a request, in milliseconds."""
        return 1000.0 * sum(block.cpu_seconds for block in self.through) / requests(self.through)


class NothingMeasured(Exception):
    """The time was too short for a single request."""


def quantile_ms(blocks: Iterable[Block], quantile: float, times: Times = "latency_ms") -> float:
    """Return a quantile over the requests of all blocks.

    Raises:
        NothingMeasured: there are none.
    """
    values = [value for block in blocks for value in getattr(block, times)]
    if not values:
        raise NothingMeasured("no request began and ended within the measured time; give more --seconds")
    return float(np.quantile(values, quantile))


def requests(blocks: Iterable[Block]) -> int:
    """Return how many requests finished.

    Raises:
        NothingMeasured: none did.
    """
    total = sum(block.requests for block in blocks)
    if not total:
        raise NothingMeasured("no request finished within the measured time; give more --seconds")
    return total


def per_second(blocks: list[Block], what: Literal["requests", "tokens"]) -> float:
    """Return requests or tokens per second over all blocks."""
    total: int = sum(getattr(block, what) for block in blocks)
    return total / sum(block.seconds for block in blocks)
