"""How many attempts a model bears at a time: additive increase, multiplicative decrease.

A model that runs out of memory or hangs gets half as many; an answer after a window without such an event gives some
back. The principle is that of TCP congestion avoidance (Chiu and Jain, 1989).
"""

from __future__ import annotations

import math

from tandem.clock import now


def part_of_one(concurrency: int, instances: int, sharers: int) -> int:
    """Return how many attempts at a time are one orchestrator's part of what a variant bears, at least 1.

    Its share, and the root of that: by so much what one of several is asked for strays from the mean. Shares alone
    would leave places empty while elsewhere somebody waits; what all let in beyond the places waits in the engines.

    Args:
        concurrency: attempts at a time that one instance bears, by the catalogue.
        instances: how many there are: Tritons of the tier.
        sharers: orchestrators that share them.
    """
    places = concurrency * instances
    part = places // sharers
    return max(1, min(places, part + math.isqrt(part)))


class ConcurrencyLimit:
    """The limit of one variant.

    Args:
        most: attempts at a time to begin with, and never more.
        window_seconds: an answer allows more when the last change or trouble was so long ago; trouble halves
            it once in that time.
    """

    def __init__(self, most: int, window_seconds: float) -> None:
        self.most = most
        """Attempts at a time to begin with, and never more."""
        self.value = most
        """Attempts that may be under way now, at least 1."""
        self._window = window_seconds
        self._step = 1
        self._clean_since = float("-inf")
        self._halved_at = float("-inf")
        # The limit and its ceiling after the last answer or trouble that changed it. Ceilings that come and go
        # meanwhile leave no trace of their rounding.
        self._left = (most, most)

    def adopt(self, most: int, window_seconds: float, step: int = 1) -> None:
        """Go on with other numbers: trouble that there is stays trouble, in proportion.

        Args:
            most: attempts at a time where there is no trouble.
            window_seconds: as before.
            step: how many more an answer allows, so that many instances recover in the time of one.
        """
        self.most, self._window, self._step = most, window_seconds, step
        value, of = self._left
        self.value = max(1, most * value // of)

    def answered(self) -> None:
        """Note an answer: time alone, in which nothing was tried, shows nothing."""
        if self.value < self.most and now() - self._clean_since >= self._window:
            self._become(min(self.most, self.value + self._step))
            self._clean_since = now()

    def halve(self) -> None:
        """Note trouble. What happens to many attempts at once counts once."""
        self._clean_since = now()
        if now() - self._halved_at >= self._window:
            self._become(max(1, self.value // 2))
            self._halved_at = now()

    def _become(self, value: int) -> None:
        self.value = value
        self._left = (value, self.most)
