"""Holds the share of requests for which the strong tier is asked, while what is asked drifts.

Two parts. The *window* holds the scores of the last requests: the place of a threshold among them says which share it
gives, so a control that speaks in shares works for scores of any distribution. The *debt* counts how many requests the
strong tier is owed, since the start: every request adds the target, every one that asks the strong tier takes one away,
whoever decided it. The threshold is the window's quantile at `target + GAIN × debt`.

This is quantile tracking by the integral of the error alone, as in adaptive conformal inference (Gibbs and Candès
2021, arXiv:2106.00170; Angelopoulos, Candès and Tibshirani 2023, arXiv:2307.16895), in the space of quantiles. It gives
a bound that needs no assumption on the scores: at `target + GAIN × debt` ≤ 0 nobody, and at ≥ 1 everybody, is sent to
the strong tier, so the debt stays within an interval of 1 / GAIN + 1 requests. Among any requests in a row, the strong
tier is asked for no more than 17 more or fewer than the target wants: one point of 1,700. Where too few requests are
free to go either way, the debt is cut to that interval: nothing is made up for later.

Requests are counted, not seconds: the same requests give the same decisions.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections import deque
from typing import Final, NamedTuple

GAIN: Final = 0.0625
"""Change of the wanted share among free requests, per request that the strong tier is owed."""
WINDOW_SCORES: Final = 256
"""Scores that a threshold is placed among: enough for a quantile, few enough to forget what was asked before."""
PRIOR_SCORES: Final = 64
"""Assumed scores at the start, of which the target's share is below the configured threshold."""
MEASURED_REQUESTS: Final = 2000
"""Requests over which the measured share is taken."""
MISSED: Final = 0.005
"""When so large a part of the requests is given up for lost, the target counts as out of reach."""
TIE: Final = 1e-6
"""Scores closer than this are the same; which of them go to the strong tier, the request's identifier decides."""

_STRIDE: Final = 37
"""Without a common divisor with PRIOR_SCORES: the order in which assumed scores are forgotten."""


class Choice(NamedTuple):
    """What the controller says of one request."""

    strong: bool
    """Whether its score sends it to the strong tier."""
    key: float
    """Its score above the configured threshold, ties broken."""
    shift: float
    """What the controller adds to the configured threshold now."""


class ShareController:
    """Decides by score, and keeps account of what was decided, by whomever.

    Scores are given as margins: score less configured threshold. So one controller shifts all configured thresholds,
    however many there are.

    Args:
        target: share of all counted requests for which the strong tier is to be asked, 0 to 1.
        threshold: the configured threshold, 0 to 1; it holds until scores have been seen.
    """

    def __init__(self, target: float, threshold: float) -> None:
        self.target = target
        self._threshold = threshold
        self.debt = 0.0
        """Requests that the strong tier is owed; negative: that it got too many."""
        self.counted = 0
        """Requests since the start."""
        self._window = deque(_assumed(target, threshold))
        self._sorted = sorted(self._window)
        self._shift = 0.0
        self._recent = bytearray(MEASURED_REQUESTS)
        self._strong = 0
        self._missed = 0.0
        self._place()

    def adopt(self, target: float, threshold: float) -> None:
        """Go on with another target and another configured threshold; what is owed, and what was asked, is kept."""
        moved = self._threshold - threshold
        self.target, self._threshold = target, threshold
        self._window = deque(key + moved for key in self._window)
        self._sorted = [key + moved for key in self._sorted]
        self._owe(0.0)
        self._place()

    def choose(self, margin: float, request_id: str) -> Choice:
        """Return what a score means now; nothing is counted, and the same question gets the same answer."""
        key = margin + TIE * _dither(request_id)
        return Choice(key < self._shift, key, self._shift)

    def count(self, *, strong: bool, key: float | None, steer: bool = True) -> int:
        """Count a request that is being answered.

        Args:
            strong: whether the strong tier is asked.
            key: of the choice, if the score was asked; None: the tier was decided otherwise.
            steer: False while the strong tier is sick: what it cannot take now is not owed to it later.

        Returns:
            A ticket for `also`.
        """
        ticket = self.counted
        self.counted += 1
        place = ticket % MEASURED_REQUESTS
        self._strong += strong - self._recent[place]
        self._recent[place] = strong
        if key is not None:
            self._see(key)
        if steer:
            self._owe(self.target - strong)
        self._place()
        return ticket

    def also(self, ticket: int) -> None:
        """Count the strong tier for a request after all: it was asked when another one had failed."""
        place = ticket % MEASURED_REQUESTS
        if ticket + MEASURED_REQUESTS >= self.counted and not self._recent[place]:
            self._recent[place] = True
            self._strong += 1
        self._owe(-1.0)
        self._place()

    @property
    def shift(self) -> float:
        """What is added to the configured threshold now."""
        return self._shift

    @property
    def measured_requests(self) -> int:
        """Requests that `measured` is taken over."""
        return min(self.counted, MEASURED_REQUESTS)

    @property
    def measured(self) -> float:
        """Share of the last requests for which the strong tier was asked; 0 before the first."""
        return self._strong / max(1, self.measured_requests)

    @property
    def out_of_reach(self) -> bool:
        """Whether too many requests are decided otherwise for the target to be held."""
        return abs(self._missed) > MISSED

    def _see(self, key: float) -> None:
        self._window.append(key)
        insort(self._sorted, key)
        if len(self._window) > WINDOW_SCORES:
            del self._sorted[bisect_left(self._sorted, self._window.popleft())]

    def _owe(self, error: float) -> None:
        """Add to the debt; what no threshold could pay is let go (anti-windup)."""
        debt = self.debt + error
        # One request beyond either end: there the threshold is as far as it goes, and the next request leads back.
        least, most = -self.target / GAIN - 1.0, (1.0 - self.target) / GAIN + 1.0
        self.debt = min(most, max(least, debt))
        self._missed += (debt - self.debt - self._missed) / WINDOW_SCORES

    def _place(self) -> None:
        """Place the threshold among the scores."""
        keys = self._sorted
        wanted = round((self.target + GAIN * self.debt) * len(keys))
        if wanted <= 0:
            self._shift = -2.0
        elif wanted >= len(keys):
            self._shift = 2.0
        else:
            self._shift = 0.5 * (keys[wanted - 1] + keys[wanted])


def _assumed(target: float, threshold: float) -> list[float]:
    """Return margins of which the target's share is below 0, evenly spread over all that are possible."""
    below = round(target * PRIOR_SCORES)
    above = PRIOR_SCORES - below
    margins = [-threshold * (n + 0.5) / below for n in range(below)]
    margins += [(1.0 - threshold) * (n + 0.5) / above for n in range(above)]
    return [margins[n * _STRIDE % PRIOR_SCORES] for n in range(PRIOR_SCORES)]


def _dither(request_id: str) -> float:
    """Return a number from 0 to 1 that is always the same for an identifier, and evenly spread over identifiers."""
    # CRC alone keeps much of the order of identifiers that are counted up; the product mixes it.
    return (zlib.crc32(request_id.encode()) * 2654435761 & 0xFFFFFFFF) / 4294967296.0
