"""Quantiles of a positive quantity that forget slowly: a log-spaced histogram with exponential forgetting."""

from __future__ import annotations

import math
from typing import Final

GROWTH: Final = 1.1
"""Upper over lower bound of a bucket: a quantile is exact to a tenth."""
BUCKETS: Final = 200
"""From `LEAST` to `LEAST` × 1.1^200, 190 million times as much."""
LEAST: Final = 0.01
"""Smallest value told apart; in milliseconds, a hundredth of one."""
HALF_LIFE: Final = 200.0
"""After so many further observations an observation counts half."""
STALE: Final = 16
STALE_SHARE: Final = 16
"""A quantile is worked out anew after a sixteenth more observations, at most after `STALE`."""
PRIOR_WEIGHT: Final = 4.0
"""How many observations the value that is assumed at first counts for."""

_LOG_GROWTH: Final = math.log(GROWTH)
_FADE: Final = 0.5 ** (1.0 / HALF_LIFE)
_RESCALE: Final = 1e12


class Quantiles:
    """What a quantity usually is, learned from observations.

    Args:
        prior: the value assumed as long as there are few observations, above 0.
    """

    def __init__(self, prior: float) -> None:
        self.observations = 0
        """How many observations there were."""
        self._weights = [0.0] * BUCKETS
        # Instead of fading all older observations, each new one counts a little more.
        self._weight = 1.0
        self._total = PRIOR_WEIGHT
        self._highest = _bucket(prior)  # nothing was ever seen above this bucket
        self._weights[self._highest] = PRIOR_WEIGHT
        self._prior = prior
        self._known: dict[float, float] = {}
        self._known_until = 0

    def observe(self, value: float) -> None:
        """Learn from one more value, 0 or above."""
        self.observations += 1
        self._weight /= _FADE
        bucket = _bucket(value)
        self._highest = max(self._highest, bucket)
        self._weights[bucket] += self._weight
        self._total += self._weight
        if self.observations >= self._known_until:
            self._known.clear()
            # One of many observations changes little, and looking through all buckets takes its time.
            self._known_until = self.observations + min(STALE, self.observations // STALE_SHARE)
        if self._weight > _RESCALE:
            self._rescale()

    def quantile(self, share: float) -> float:
        """Return the value that a share (0 to 1) of the observations is at or below, rounded up to its bucket."""
        if not self.observations:
            return self._prior
        known = self._known.get(share)
        if known is None:
            known = self._known[share] = self._find(share)
        return known

    def _find(self, share: float) -> float:
        # From above: the quantiles that are asked for lie near the upper end.
        room = (1.0 - share) * self._total
        for bucket in range(self._highest, -1, -1):
            room -= self._weights[bucket]
            if room < 0.0:
                return LEAST * GROWTH ** (bucket + 1)
        return LEAST

    def _rescale(self) -> None:
        self._weights = [weight / self._weight for weight in self._weights]
        self._total /= self._weight
        self._weight = 1.0


def _bucket(value: float) -> int:
    if value <= LEAST:
        return 0
    return min(BUCKETS - 1, math.ceil(math.log(value / LEAST) / _LOG_GROWTH - 1e-9) - 1)
