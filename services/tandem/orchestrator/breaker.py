"""Keeps requests off a model that is sick, and finds out carefully when it is well again.

Closed: all requests go to it. After failures in a row, or when two in five of the recent attempts failed, it opens: no
request goes to it for a pause. Then it is half open: one request tries it, and after each success twice as many at a
time. Several successes in a row close it, one failure opens it again for twice the pause. The pause is short again when
it was closed for long enough: a model of which half of the attempts fail now and then passes the probes by chance.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from tandem.clock import now
from tandem.orchestrator.policy import BreakerPolicy
from tandem.v1 import types_pb2

RECENT: Final = 20
"""Attempts over which the share of failures is taken."""
FORGIVEN: Final = 3
"""So many longest pauses without opening, and the next pause is short again."""
ENOUGH: Final = 10
"""Attempts that tell a share."""
SICK_SHARE: Final = 0.4

CLOSED = types_pb2.BREAKER_STATE_CLOSED
HALF_OPEN = types_pb2.BREAKER_STATE_HALF_OPEN
OPEN = types_pb2.BREAKER_STATE_OPEN


class Breaker:
    """The breaker of one variant."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._in_a_row = 0
        self._state = CLOSED
        self._pause_ms = policy.pause_ms
        self._open_until = 0.0
        self._closed_at = float("-inf")
        self.openings = 0
        """How often it has opened since the start."""
        self._probes = 0
        self.cause: types_pb2.AttemptOutcome.ValueType = types_pb2.ATTEMPT_OUTCOME_UNSPECIFIED
        """How the model failed last."""

    def adopt(self, policy: BreakerPolicy) -> None:
        """Go on by another policy; a pause that has begun keeps its length."""
        self._policy = policy

    @property
    def state(self) -> types_pb2.BreakerState.ValueType:
        """Whether requests are sent to the model."""
        if self._state == OPEN and now() >= self._open_until:
            self._state, self._in_a_row, self._probes = HALF_OPEN, 0, 0
        return self._state

    @property
    def admits(self) -> bool:
        """Whether a further request may be sent now."""
        return self.state == CLOSED or (self._state == HALF_OPEN and self._probes < 2**self._in_a_row)

    @property
    def pause_seconds(self) -> float:
        """How long no request will be sent."""
        return max(0.0, self._open_until - now()) if self.state == OPEN else 0.0

    def enter(self) -> int:
        """Note that an attempt starts; return the ticket to be given back when it ends."""
        if self.state == HALF_OPEN:
            self._probes += 1
        return self.openings

    def succeeded(self, ticket: int) -> None:
        """Note that an attempt got an answer."""
        if not self._counts(ticket):
            return
        self._in_a_row = self._in_a_row + 1 if self._state == HALF_OPEN else 0
        if self._state == HALF_OPEN and self._in_a_row >= self._policy.probes:
            self._close()
        elif self._state == CLOSED:
            self._recent.append(True)

    def failed(self, cause: types_pb2.AttemptOutcome.ValueType, ticket: int) -> None:
        """Note that an attempt failed in a way that says something about the model."""
        self.cause = cause
        if not self._counts(ticket):
            return
        if self._state == HALF_OPEN:
            self._open()
        elif self._state == CLOSED:
            self._in_a_row += 1
            self._recent.append(False)
            if self._is_sick():
                self._open()

    def left(self, ticket: int) -> None:
        """Note that an attempt ended in a way that says nothing about the model."""
        self._counts(ticket)

    def _counts(self, ticket: int) -> bool:
        """Whether an attempt that ends says something about now: one from before it opened does not."""
        if ticket != self.openings:
            return False
        if self._state == HALF_OPEN:
            self._probes -= 1
        return True

    def _is_sick(self) -> bool:
        failures = self._recent.count(False)
        share = failures / len(self._recent)
        return self._in_a_row >= self._policy.failures or (
            failures >= self._policy.failures and len(self._recent) >= ENOUGH and share >= SICK_SHARE
        )

    def _open(self) -> None:
        well_seconds = now() - self._closed_at if self._state == CLOSED else 0.0
        again = well_seconds < FORGIVEN * self._policy.longest_pause_ms / 1000.0
        longer_ms = min(2 * self._pause_ms, self._policy.longest_pause_ms)
        self._pause_ms = longer_ms if again else self._policy.pause_ms
        self._state = OPEN
        self.openings += 1
        self._open_until = now() + self._pause_ms / 1000.0

    def _close(self) -> None:
        self._state = CLOSED
        self._in_a_row = 0
        self._closed_at = now()
        self._recent.clear()
