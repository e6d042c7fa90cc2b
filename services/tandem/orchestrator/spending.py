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
TRIM_RATE: Final = 1 / 400
"""Part of a request's excess cost by which the share is trimmed: slow beside the control that holds the share."""
MOST_TRIM: Final = 0.5
"""The share is trimmed by at most this part of itself…"""
LEAST_TRIM: Final = 0.02
"""…or by this, if that is more."""
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

    The means lag behind when answers become longer, so the share that follows from them is trimmed by the integral of
    what requests cost too much or too little.

    Args:
        routing: which tier is the cheap one, and which the strong.
        catalogue: the prices.
        nano_usd: what a request is to cost on average, in billionths of a US dollar.
    """

    def __init__(self, routing: Routing, catalogue: Catalogue, nano_usd: int) -> None:
        self.nano_usd = nano_usd
        """The target."""
        self._trim = 0.0
        self._strong = routing.strong
        self._rates = _rates(routing, catalogue)
        self._costs = Mean(), Mean()
        self._tokens = Mean(EXPECTED_PROMPT_TOKENS), Mean(EXPECTED_TOKENS)
        self._recent: deque[int] = deque(maxlen=MEASURED_REQUESTS)
        self._sum = 0
        self.share = 0.0
        """Share of requests, 0 to 1, that the strong tier may be asked for."""
        self._adjust(nano_usd)

    def adopt(self, routing: Routing, catalogue: Catalogue, nano_usd: int) -> None:
        """Hold another target; what was learned of tokens is kept, and that of money unless the prices have changed."""
        self.nano_usd, rates = nano_usd, _rates(routing, catalogue)
        if rates != self._rates:
            self._rates, self._trim = rates, 0.0
            self._costs = Mean(), Mean()
            self._recent.clear()
            self._sum = 0
        self._adjust(nano_usd)

    def learn(self, attempts: Sequence[types_pb2.Attempt]) -> None:
        """Take a request into account that has ended, by all its attempts."""
        strong, cost, (given, made) = False, 0, self._tokens
        for attempt in attempts:
            strong = strong or attempt.target.tier == self._strong
            cost += attempt.cost_nano_usd
            given.learn(attempt.usage.input_tokens)
            made.learn(attempt.usage.output_tokens)
        self._costs[strong].learn(cost)
        if len(self._recent) == MEASURED_REQUESTS:
            self._sum -= self._recent[0]
        self._recent.append(cost)
        self._sum += cost
        self._adjust(cost)

    @property
    def measured_nano_usd(self) -> int | None:
        """Mean cost of the last requests; None: none has ended."""
        return round(self._sum / len(self._recent)) if self._recent else None

    @property
    def out_of_reach(self) -> bool:
        """Whether no share costs just so much."""
        least, most = self._expected()
        return not least <= self.nano_usd <= most

    def _adjust(self, cost: int) -> None:
        """Set the share anew; `cost` is what the request cost that has just ended."""
        least, most = self._expected()
        if most <= least:
            self.share = 1.0 if self.nano_usd >= most else 0.0
            return
        plain = min(1.0, max(0.0, (self.nano_usd - least) / (most - least)))
        room = max(LEAST_TRIM, MOST_TRIM * plain)
        trim = self._trim + TRIM_RATE * (self.nano_usd - cost) / (most - least)
        self._trim = min(room, max(-room, trim))
        self.share = min(1.0, max(0.0, plain + self._trim))

    def _expected(self) -> tuple[float, float]:
        """Return what a request costs without and with the strong tier."""
        (cheap, strong), (cheap_rates, strong_rates) = self._costs, self._rates
        return self._blend(cheap, cheap_rates), self._blend(strong, strong_rates)

    def _blend(self, cost: Mean, rates: tuple[float, float]) -> float:
        known = cost.known
        if known == REMEMBERED_REQUESTS:
            return cost.value
        given, made = self._tokens
        weight = PRIOR_REQUESTS * (1.0 - known / REMEMBERED_REQUESTS)
        assumed = given.value * rates[0] + made.value * rates[1]
        return (weight * assumed + known * cost.value) / (weight + known)


def _rates(routing: Routing, catalogue: Catalogue) -> list[tuple[float, float]]:
    """Return what a token of a prompt and one of an answer cost with the cheap tier and with the strong one."""
    prices = [catalogue.tier(name).price for name in (routing.cheap, routing.strong)]
    return [(price.cost_nano_usd(MANY, 0) / MANY, price.cost_nano_usd(0, MANY) / MANY) for price in prices]
