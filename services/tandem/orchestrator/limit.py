"""How many attempts a model bears at a time: additive increase, multiplicative decrease.

A model that runs out of memory or hangs gets half as many; an answer after a window without such an event gives one
back. The principle is that of TCP congestion avoidance (Chiu and Jain, 1989).
"""

from __future__ import annotations

from tandem.clock import now


class ConcurrencyLimit:
    """The limit of one variant.

    Args:
        most: attempts at a time to begin with, and never more.
        window_seconds: an answer allows one more when the last change or trouble was so long ago; trouble halves
            it once in that time.
    """

    def __init__(self, most: int, window_seconds: float) -> None:
        self.most = most
        """Attempts at a time to begin with, and never more."""
        self._window = window_seconds
        self._clean_since = float("-inf")
        self._halved_at = float("-inf")
        self.value = most
        """Attempts that may be under way now, at least 1."""

    def adopt(self, most: int, window_seconds: float) -> None:
        """Go on with other numbers: trouble that there is stays trouble."""
        self.value = most if self.value == self.most else min(self.value, most)
        self.most, self._window = most, window_seconds

    def answered(self) -> None:
        """Note an answer: time alone, in which nothing was tried, shows nothing."""
        if self.value < self.most and now() - self._clean_since >= self._window:
            self.value += 1
            self._clean_since = now()

    def halve(self) -> None:
        """Note trouble. What happens to many attempts at once counts once."""
        self._clean_since = now()
        if now() - self._halved_at >= self._window:
            self.value = max(1, self.value // 2)
            self._halved_at = now()
