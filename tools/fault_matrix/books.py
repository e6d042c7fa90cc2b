"""Compares Tandem's ledger with what the engines counted themselves, over one row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, func, select

from tandem.ledger.checking import Counts, MetricsUnreadable, compare, fetch_counts
from tandem.ledger.queries import ModelTokens, Which, tokens_by_model
from tandem.ledger.schema import reading
from tandem.ledger.tables import attempts, requests

PUBLISHED_SECONDS: Final = 0.15
"""An engine publishes its counts more often than this."""
SETTLE_SECONDS: Final = 40.0
"""So long may it take until the ledger has everything: an attempt is settled for up to 30 seconds after its request."""
POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Entries:
    """What the ledger has of a row."""

    requests: int
    attempts: int
    """Voices of one ensemble count as one attempt: they are not tried again, but asked together."""
    tokens: dict[str, ModelTokens]


@dataclass(frozen=True, slots=True)
class Books:
    """What the books say of a row."""

    amplification: float | None = None
    ledger_error: float | None = None
    """Difference of ledger and engines in tokens, added up over models and kinds, for each token of the engines."""
    words: list[str] = field(default_factory=list)
    """Where they differ."""


class Bookkeeping:
    """The books of one row, from just before its first request.

    Args:
        ledger: SQLAlchemy URL of the ledger; empty: it is not known.
        metrics_urls: where the engines' counters are read; none: they are not known.
    """

    def __init__(self, ledger: str, metrics_urls: Sequence[str]) -> None:
        self._ledger = ledger
        self._metrics_urls = metrics_urls
        self._which = Which(since=datetime.now(UTC))
        self._before: Counts = {}

    async def open(self) -> None:
        """Note what the engines have counted before the row."""
        if self._ledger and self._metrics_urls:
            await asyncio.sleep(PUBLISHED_SECONDS)
            self._before = await self._counts()

    async def settled(self, at_least: int) -> Books:
        """Return what the books say once they have so many requests and agree, or as they are when they do not.

        Raises:
            LedgerUnusable: the ledger cannot be read.
            MetricsUnreadable: an engine's counters cannot be read, also after the time that a restart takes.
        """
        if not self._ledger:
            return Books()
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            await asyncio.sleep(POLL_SECONDS)
            entries = await asyncio.to_thread(self._entries)
            try:
                books = await self._compare(entries)
            except MetricsUnreadable:
                # A Triton that was killed is not back yet.
                if time.monotonic() > end:
                    raise
                continue
            if (entries.requests >= at_least and not books.words) or time.monotonic() > end:
                return books

    async def _compare(self, entries: Entries) -> Books:
        if not self._metrics_urls:
            return compared(entries, None)
        counts = await self._counts()
        return compared(entries, {key: count - self._before.get(key, 0) for key, count in counts.items()})

    async def _counts(self) -> Counts:
        return await asyncio.to_thread(fetch_counts, self._metrics_urls)

    def _entries(self) -> Entries:
        with reading(self._ledger) as connection:
            return read_entries(connection, self._which)


def compared(entries: Entries, grown: Counts | None) -> Books:
    """Return what the books say, given by how much the engines' counters have grown; None: nobody knows."""
    amplification = entries.attempts / entries.requests if entries.requests else 0.0
    if grown is None:
        return Books(amplification)
    differing = [each for each in compare(entries.tokens, grown) if each.ledger != each.engine]
    words = [
        f"{each.model}: the ledger has {each.ledger} {each.kind} tokens, the engine counted {each.engine} "
        f"({each.unsettled_attempts} attempts unsettled)"
        for each in differing
    ]
    difference = sum(abs(each.ledger - each.engine) for each in differing)
    return Books(amplification, difference / max(1, sum(grown.values())), words)


def read_entries(connection: Connection, which: Which) -> Entries:
    """Return what a ledger has of the requests that are meant."""
    asked = select(func.count()).select_from(requests).where(*which.conditions())
    tried = select(func.count()).join_from(requests, attempts).where(*which.conditions())
    voices = (
        select(func.count(), func.count(attempts.c.request.distinct()))
        .join_from(requests, attempts)
        .where(attempts.c.purpose == "vote", *which.conditions())
    )
    votes, ensembles = connection.execute(voices).one()
    count = connection.execute(tried).scalar_one() - votes + ensembles
    return Entries(connection.execute(asked).scalar_one(), count, tokens_by_model(connection, which))
