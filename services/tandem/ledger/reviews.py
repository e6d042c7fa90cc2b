"""Which answers wait for a person, and what the person said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, func, insert, or_, select, update

from tandem.ledger.feedback import RIGHT, WRONG
from tandem.ledger.queries import Record, Which
from tandem.ledger.tables import feedback, requests, timestamp

Decision = Literal["approved", "corrected"]
EVERYTHING: Final = Which()
PENDING: Final = "pending_human_review"
_SCORES: Final[Mapping[Decision, float]] = {"approved": RIGHT, "corrected": WRONG}
_OWN: Final = or_(
    requests.c.source_request_id.is_(None), requests.c.source_request_id == requests.c.request_id
)
"""Requests that were worked on; those that shared the answer share its case."""


def pending(connection: Connection, which: Which = EVERYTHING, limit: int = 20) -> list[Record]:
    """Return the answers that wait, who waits longest first."""
    names = ("review_id", "request_id", "tenant", "started_at", "tier", "variant", "outcome", "domain")
    query = (
        select(*(requests.c[name] for name in names))
        .where(requests.c.review_status == PENDING, _OWN, *which.conditions())
        .order_by(requests.c.started_at, requests.c.id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def count_pending(connection: Connection, which: Which = EVERYTHING) -> int:
    """Return how many wait."""
    query = select(func.count()).where(requests.c.review_status == PENDING, _OWN, *which.conditions())
    return int(connection.execute(query).scalar_one())


def settle(connection: Connection, review_id: str, decision: Decision) -> str | None:
    """Settle a review once, and book it as a person's verdict on the answer, in one transaction.

    Returns:
        What it was before: only what was pending is settled. None: the ledger does not know it.
    """
    connection.rollback()  # ends the transaction of an earlier query
    this: Any = requests.c.review_id == review_id
    with connection.begin():
        changed = connection.execute(
            update(requests).where(this, requests.c.review_status == PENDING).values(review_status=decision)
        )
        if not changed.rowcount:
            return connection.execute(select(requests.c.review_status).where(this).limit(1)).scalar()
        verdict = {
            "at": timestamp(datetime.now(UTC)),
            "score": _SCORES[decision],
            "source": "human",
        }
        answered = select(requests.c.request_id, requests.c.tenant).where(this, _OWN).distinct()
        for row in connection.execute(answered).mappings().all():
            connection.execute(insert(feedback).values(**row, **verdict))
    return PENDING
