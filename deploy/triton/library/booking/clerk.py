"""The clerk: one thread that publishes a model's totals and hands out receipts."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from .books import Books, Unsettled
from .store import Counts

PUBLISH_SECONDS: Final = 0.05
"""Time between two publications: each costs a round trip to Triton, so it does not happen for every token."""
POLL_SECONDS: Final = 0.01
"""Time between two looks at a request that somebody waits for."""
WAIT_SECONDS: Final = 2.0
"""Longest wait for a request to end before its receipt is refused."""
NO_RECEIPT: Final = "no receipt"
"""How the answer begins when a request is not in the books."""
STILL_RUNNING: Final = "still running"
"""How the answer begins when a request has not ended yet."""


class Counter(Protocol):
    """A metric that only grows."""

    def increment(self, value: float) -> None:
        """Add to the metric."""

    def value(self) -> float:
        """Return what it shows."""


class Desk(Protocol):
    """Where somebody waits for a receipt."""

    def hand_out(self, counts: Counts) -> None:
        """Answer with the receipt."""

    def refuse(self, message: str) -> None:
        """Answer that there is none."""


@dataclass(frozen=True, slots=True)
class _Question:
    request: str
    desk: Desk
    until: float


class Clerk:
    """Publishes and answers until closed.

    One thread does it all: Triton dies when two threads of a model change metrics at the same time.

    Args:
        books: whose totals and receipts.
        counters: a metric for each field of `Counts`. A metric that shows something already, because it outlived a
            model's process, is only brought up to the totals.
    """

    def __init__(self, books: Books, counters: Mapping[str, Counter]) -> None:
        self._books = books
        self._counters = [counters[name] for name in Counts._fields]
        self._published: Counts | None = None
        self._questions: deque[_Question] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="clerk", daemon=True)
        self._thread.start()

    def ask(self, request: str, desk: Desk) -> None:
        """Hand a request's receipt out at `desk`, as soon as the request has ended."""
        self._questions.append(_Question(request, desk, time.monotonic() + WAIT_SECONDS))
        self._wake.set()

    def close(self) -> None:
        """Publish what is left and end."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        publish_at = 0.0
        while not self._closing:
            now = time.monotonic()
            if now >= publish_at:
                self._publish()
                publish_at = now + PUBLISH_SECONDS
            self._answer(now)
            self._wake.wait(POLL_SECONDS if self._questions else publish_at - now)
            self._wake.clear()
        self._answer(float("inf"))
        self._publish()

    def _publish(self) -> None:
        totals = self._books.totals()
        published = self._published
        if published is None:
            published = Counts(
                *(min(round(c.value()), t) for c, t in zip(self._counters, totals, strict=True))
            )
        for counter, total, before in zip(self._counters, totals, published, strict=True):
            if total > before:
                counter.increment(total - before)
        self._published = totals

    def _answer(self, now: float) -> None:
        for _ in range(len(self._questions)):
            question = self._questions.popleft()
            receipt = self._books.receipt(question.request)
            if isinstance(receipt, Counts):
                question.desk.hand_out(receipt)
            elif receipt is Unsettled.UNKNOWN:
                question.desk.refuse(
                    f"{NO_RECEIPT} for request {question.request!r}: it did not reach this model, or is forgotten"
                )
            elif now > question.until:
                question.desk.refuse(f"{STILL_RUNNING}: request {question.request!r}; ask again later")
            else:
                self._questions.append(question)
