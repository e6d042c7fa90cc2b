"""How many attempts a model bears at a time: additive increase, multiplicative decrease.

A model that runs out of memory or hangs gets half as many; every window without such an event gives one back. The
principle is that of TCP congestion avoidance (Chiu and Jain, 1989).
"""

from __future__ import annotations

from tandem.clock import now


class ConcurrencyLimit:
    """The limit of one variant.

    Args:
        most: attempts at a time to begin with, and never more.
        window_seconds: one more is allowed after each such time without trouble; trouble halves once in that time.
    """

    def __init__(self, most: int, window_seconds: float) -> None:
        self._most = most
        self._window = window_seconds
        self._value = most
        self._since = float("-inf")

    @property
    def value(self) -> int:
        """Attempts that may be under way now, at least 1."""
        if self._value < self._most:
            windows = int((now() - self._since) / self._window)
            if windows > 0:
                self._value = min(self._most, self._value + windows)
                self._since += windows * self._window
        return self._value

    def halve(self) -> None:
        """Note trouble. What happens to many attempts at once counts once."""
        if now() - self._since < self._window:
            return
        self._value = max(1, self.value // 2)
        self._since = now()
