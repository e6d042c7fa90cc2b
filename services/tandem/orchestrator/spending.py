"""What a request costs on average, with and without the strong tier: turns a target of money into one of share."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from tandem.catalogue import Catalogue
from tandem.orchestrator.live import EXPECTED_TOKENS
from tandem.orchestrator.routing_policy import Routing
from tandem.orchestrator.share import MEASURED_REQUESTS
from tandem.v1 import types_pb2

EXPECTED_PROMPT_TOKENS: Final = 256
"""Length of a prompt from which it follows what a request costs, as long as nothing is known."""
PRIOR_REQUESTS: Final = 4
"""How many requests the assumed cost counts for at first."""
REMEMBERED_REQUESTS: Final = 500
"""A new request counts at least as one of so many; after as many nothing is assumed any more."""
MANY: Final = 1_000_000
"""Tokens of which the price for one is taken."""


class Mean:
    """A mean that forgets slowly."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value
        """The mean."""
        self.known = 0
        """Values it was learned from, at most REMEMBERED_REQUESTS."""

    def learn(self, value: float) -> None:
        """Take one more value into account."""
        self.known = min(self.known + 1, REMEMBERED_REQUESTS)
        self.value += (value - self.value) / self.known


class Spending:
    """The costs of requests that have ended.

    What a tier costs is first assumed from its prices and from the tokens of all attempts, of whichever tier: so a tier
    that is asked seldom because it seems dear does not seem so for longer than it is.

    Args:
        routing: which tier is the cheap one, and which the strong.
        catalogue: the prices.
    """

    def __init__(self, routing: Routing, catalogue: Catalogue) -> None:
        self._strong = routing.strong
        prices = [catalogue.tier(name).price for name in (routing.cheap, routing.strong)]
        self._rates = [
            (price.cost_nano_usd(MANY, 0) / MANY, price.cost_nano_usd(0, MANY) / MANY) for price in prices
        ]
        self._costs = Mean(), Mean()
        self._tokens = Mean(EXPECTED_PROMPT_TOKENS), Mean(EXPECTED_TOKENS)
        self._recent: deque[int] = deque(maxlen=MEASURED_REQUESTS)
        self._sum = 0

    def learn(self, attempts: Sequence[types_pb2.Attempt]) -> None:
        """Take a request into account that has ended, by all its attempts."""
        strong, cost = False, 0
        for attempt in attempts:
            strong |= attempt.target.tier == self._strong
            cost += attempt.cost_nano_usd
            for mean, tokens in zip(
                self._tokens, (attempt.usage.input_tokens, attempt.usage.output_tokens), strict=True
            ):
                mean.learn(tokens)
        self._costs[strong].learn(cost)
        if len(self._recent) == MEASURED_REQUESTS:
            self._sum -= self._recent[0]
        self._recent.append(cost)
        self._sum += cost

    @property
    def measured_nano_usd(self) -> int | None:
        """Mean cost of the last requests; None: none has ended."""
        return round(self._sum / len(self._recent)) if self._recent else None

    def share_for(self, nano_usd: int) -> float:
        """Return the share of requests, 0 to 1, that the strong tier may be asked for at a mean cost of a request."""
        least, most = self._expected()
        if most <= least:
            return 1.0 if nano_usd >= most else 0.0
        return min(1.0, max(0.0, (nano_usd - least) / (most - least)))

    def reaches(self, nano_usd: int) -> bool:
        """Whether some share costs just so much."""
        least, most = self._expected()
        return least <= nano_usd <= most

    def _expected(self) -> tuple[float, float]:
        """Return what a request costs without and with the strong tier."""
        cheap, strong = (self._blend(*pair) for pair in zip(self._costs, self._rates, strict=True))
        return cheap, strong

    def _blend(self, cost: Mean, rates: tuple[float, float]) -> float:
        weight = PRIOR_REQUESTS * (1.0 - cost.known / REMEMBERED_REQUESTS)
        assumed = sum(mean.value * rate for mean, rate in zip(self._tokens, rates, strict=True))
        return (weight * assumed + cost.known * cost.value) / (weight + cost.known)
