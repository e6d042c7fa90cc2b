"""How long to wait before the next try of something that keeps failing."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 30.0
HEALTHY_SECONDS: Final = 60.0
"""What ran this long is forgiven its earlier failures."""


@dataclass(slots=True)
class Backoff:
    """Doubles with every failure, up to a bound; half of each wait is drawn by lot."""

    failures: int = 0

    def after_failure(self, healthy_seconds: float) -> float:
        """Return the seconds to wait after something failed that had been healthy for so long."""
        if healthy_seconds >= HEALTHY_SECONDS:
            self.failures = 0
        bound = min(LONGEST_SECONDS, FIRST_SECONDS * 2**self.failures)
        self.failures += 1
        return random.uniform(bound / 2, bound)  # noqa: S311 - spreads retries, guards no secret
