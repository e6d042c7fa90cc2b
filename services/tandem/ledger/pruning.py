"""Forgets old requests."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, func, select

from tandem.ledger.tables import feedback, requests, timestamp

REQUESTS_PER_TRANSACTION: Final = 1000
"""Few enough that the writer gets its turn meanwhile."""


def older(connection: Connection, before: datetime) -> int:
    """Return how many requests started before a moment."""
    query = select(func.count()).select_from(requests).where(requests.c.started_at < timestamp(before))
    return connection.execute(query).scalar_one()


def prune(connection: Connection, before: datetime) -> int:
    """Delete the requests that started before a moment, with all that belongs to them, and feedback as old.

    Returns:
        The number of requests that were deleted.
    """
    connection.rollback()  # ends the transaction of an earlier query
    old = (
        select(requests.c.id)
        .where(requests.c.started_at < timestamp(before))
        .order_by(requests.c.started_at)
        .limit(REQUESTS_PER_TRANSACTION)
    )
    count = 0
    while True:
        with connection.begin():
            deleted = connection.execute(delete(requests).where(requests.c.id.in_(old))).rowcount
        count += deleted
        if deleted < REQUESTS_PER_TRANSACTION:
            break
    with connection.begin():
        connection.execute(delete(feedback).where(feedback.c.at < timestamp(before)))
    return count
