"""What became of the requests: counted as they end."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from tandem.call import Call


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, as far as it is counted."""

    tier: str
    """Who ended it."""
    degraded: bool = False
    """It is not what was planned: another model, or shorter."""
    cut: bool = False
    """It is shorter than what was asked for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of one contender in one world."""

    sent: int
    in_time: int
    """Answers by the deadline, degraded ones included."""
    degraded: int
    """Answers in time that are not what was planned."""
    cut: int
    """Answers in time that are shorter than what was asked for."""
    errors: int
    """Typed errors by the deadline."""
    late: int
    """Nothing by the deadline: neither an answer nor an error."""
    lost: int
    """Nothing at all."""
    amplification: float
    """Attempts that reached a tier, for each request."""
    pro_share: float
    """Part of the answers in time that the strong tier ended."""
    tokens_made: int
    """By all attempts, those given up included."""
    tokens_booked: int
    """Of these, those in the contender's books."""
    goodput_per_second: float
    """Answers in time, for each second in which requests came."""
    p50_ms: float
    """Time from request to answer that half of the answers in time keep below."""
    p99_ms: float
    """The same for 99 of 100."""
    reasons: dict[str, int]
    """Typed errors by their reason."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a contender had done."""

    attempts: int
    """That reached a tier."""
    tokens_made: int
    tokens_booked: int


class Tally:
    """Counts what comes.

    Args:
        strong: name of the strong tier.
        since: requests that came before this time are not counted.
    """

    def __init__(self, strong: str, since: float = 0.0) -> None:
        self._name = strong
        self._since = since
        self._seconds: list[float] = []
        self._degraded = self._cut = self._late = 0
        self.strong = 0
        """Answers in time that the strong tier ended."""
        self.reasons: Counter[str] = Counter()
        """Typed errors in time."""

    def counts(self, call: Call) -> bool:
        """Tell whether a request is counted."""
        return call.started >= self._since

    def answered(self, call: Call, reply: Reply, seconds: float) -> None:
        """Count an answer in time."""
        self._seconds.append(seconds)
        self._degraded += reply.degraded
        self._cut += reply.cut
        self.strong += reply.tier == self._name

    def failed(self, reason: str) -> None:
        """Count a typed error in time."""
        self.reasons[reason] += 1

    def late(self) -> None:
        """Count a request whose deadline passed before anything came."""
        self._late += 1

    def outcome(self, sent: int, seconds: float, work: Work) -> Outcome:
        """Return the figures of so many requests that came in so many seconds."""
        answered, errors = sorted(self._seconds), self.reasons.total()
        return Outcome(
            sent=sent,
            in_time=len(answered),
            degraded=self._degraded,
            cut=self._cut,
            errors=errors,
            late=self._late,
            lost=sent - len(answered) - errors - self._late,
            amplification=work.attempts / sent,
            pro_share=self.strong / max(1, len(answered)),
            tokens_made=work.tokens_made,
            tokens_booked=work.tokens_booked,
            goodput_per_second=len(answered) / seconds,
            p50_ms=_quantile_ms(answered, 0.5),
            p99_ms=_quantile_ms(answered, 0.99),
            reasons=dict(sorted(self.reasons.items())),
        )


def _quantile_ms(ordered: list[float], share: float) -> float:
    """Return a quantile of seconds in milliseconds; 0 if there are none."""
    if not ordered:
        return 0.0
    return 1000.0 * ordered[max(0, math.ceil(share * len(ordered)) - 1)]
