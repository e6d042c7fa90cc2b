"""A token bucket that counts exactly."""

from __future__ import annotations

from typing import Final

MINUTE_NS: Final = 60_000_000_000


class Bucket:
    """Holds what may be taken at once, at most `per_minute`, and fills evenly.

    Its content is counted in drops: `per_minute` of them fall in every nanosecond, and each thing taken weighs a
    minute's worth of nanoseconds in drops. All of it is whole numbers, so nothing is lost or won by rounding.
    """

    def __init__(self, per_minute: int, now_ns: int) -> None:
        self.per_minute = per_minute
        self._drops = per_minute * MINUTE_NS
        self._filled_ns = now_ns

    def adopt(self, per_minute: int, now_ns: int) -> None:
        """Go on with another size: as large a part of it is left, or as many things are owed, as before."""
        self._fill(now_ns)
        if self._drops > 0:
            self._drops = self._drops * per_minute // self.per_minute
        self.per_minute = per_minute

    def wait_ns(self, now_ns: int) -> int:
        """Return after how many nanoseconds one can be taken; 0: now."""
        self._fill(now_ns)
        return max(0, -((self._drops - MINUTE_NS) // self.per_minute))

    def take(self, count: int, now_ns: int) -> None:
        """Take some, also more than there is: the rest is owed, and must be filled up first."""
        self._fill(now_ns)
        self._drops -= count * MINUTE_NS

    def _fill(self, now_ns: int) -> None:
        fallen = (now_ns - self._filled_ns) * self.per_minute
        self._drops = min(self._drops + fallen, self.per_minute * MINUTE_NS)
        self._filled_ns = now_ns
