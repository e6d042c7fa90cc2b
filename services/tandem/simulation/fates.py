"""What befalls an attempt on a model, drawn beforehand: the same request meets the same luck whoever sends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

STALL_MEAN_SECONDS: Final = 4.0
STALL_SHAPE: Final = 1.5
"""Of the Pareto distribution of stalls: some last very long."""


@dataclass(frozen=True, slots=True)
class Mishaps:
    """What goes wrong with single attempts, in addition to episodes."""

    stalls: float = 0.002
    """Part of the attempts that stop for a while."""
    breaks: float = 0.001
    """Part of the attempts whose stream breaks off."""


USUAL: Final = Mishaps()
NO_MISHAPS: Final = Mishaps(stalls=0.0, breaks=0.0)


@dataclass(frozen=True, slots=True)
class Spread:
    """How much times differ from attempt to attempt: standard deviations of their logarithms."""

    ttft: float = 0.5
    tpot: float = 0.15


WIDE: Final = Spread()
STEADY: Final = Spread(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Fate:
    """What befalls one attempt."""

    ttft_factor: float
    """Time to first token, as a multiple of the model's median."""
    tpot_factor: float
    """Time per token, likewise."""
    stall_seconds: float
    """How long it stops; 0: never."""
    mishap: float
    """Where in the answer it stops or breaks off, as a part of its length."""
    breaks: bool


class Fates:
    """The fates of all requests on one model."""

    def __init__(
        self, requests: int, mishaps: Mishaps, random: np.random.Generator, spread: Spread = WIDE
    ) -> None:
        stalls = random.random(requests) < mishaps.stalls
        scale = STALL_MEAN_SECONDS * (STALL_SHAPE - 1.0) / STALL_SHAPE
        lengths = scale * (1.0 + random.pareto(STALL_SHAPE, requests))
        self._ttft: list[float] = random.lognormal(0.0, spread.ttft, requests).tolist()
        self._tpot: list[float] = random.lognormal(0.0, spread.tpot, requests).tolist()
        self._stall: list[float] = np.where(stalls, lengths, 0.0).tolist()
        self._mishap: list[float] = random.random(requests).tolist()
        self._breaks: list[bool] = (random.random(requests) < mishaps.breaks).tolist()

    def of(self, request: int) -> Fate:
        """Return what befalls the request with this number."""
        return Fate(
            self._ttft[request],
            self._tpot[request],
            self._stall[request],
            self._mishap[request],
            self._breaks[request],
        )
