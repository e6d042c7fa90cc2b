"""Bounds what is tried in vain: when everything fails, trying again only adds to the load.

Every request adds a part of a further attempt, and every answer a whole one; every further attempt that fails takes
one. So where something answers, what fails is tried elsewhere; where nothing does, hardly anything is tried twice.
"""

from __future__ import annotations

from typing import Final

RESERVE: Final = 10.0
"""Further attempts in vain that are granted before any request has paid for them."""


class RetryBudget:
    """The budget of one orchestrator.

    Args:
        ratio: part of a further attempt that a request adds, above 0.
    """

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        """Part of a further attempt that a request adds; may be replaced at any time."""
        self._balance = RESERVE

    @property
    def allows(self) -> bool:
        """Whether a further attempt may be made."""
        return self._balance > 0.0

    def request(self) -> None:
        """Note that a request came."""
        self._balance = min(RESERVE, self._balance + self.ratio)

    def answered(self) -> None:
        """Note that an attempt gave an answer."""
        self._balance = min(RESERVE, self._balance + 1.0)

    def in_vain(self) -> None:
        """Note that a further attempt failed."""
        self._balance = max(-RESERVE, self._balance - 1.0)
