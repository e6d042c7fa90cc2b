"""Writes what somebody thought of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection, insert, select

from tandem.ledger.tables import feedback, requests, timestamp

Source = Literal["user", "judge", "human"]
SOURCES: Final[tuple[Source, ...]] = get_args(Source)
RIGHT: Final = 1.0
WRONG: Final = -1.0


class FeedbackInvalid(ValueError):
    """Feedback is not what it should be; the message says why."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody thought of one answer to a request."""

    request_id: str
    score: float
    """-1 (wrong) to 1 (right)."""
    source: Source
    tier: str | None = None
    """Whose answer is meant; None: the one that was given."""
    tenant: str | None = None
    """Whose request it was; None: any tenant's."""


def add_feedback(connection: Connection, given: Iterable[Feedback]) -> list[str]:
    """Write feedback in one transaction; return the identifiers that the ledger does not know: they are left out."""
    connection.rollback()  # ends the transaction of an earlier query
    at, unknown = timestamp(datetime.now(UTC)), []
    with connection.begin():
        for each in given:
            tenants = _tenants(connection, each)
            if not tenants:
                unknown.append(each.request_id)
            for tenant in tenants:
                row = {"request_id": each.request_id, "tenant": tenant, "at": at, "score": each.score}
                connection.execute(insert(feedback).values(**row, source=each.source, tier=each.tier))
    return unknown


def read_feedback(lines: Iterable[str], source: Source) -> Iterator[Feedback]:
    """Yield the feedback of JSON lines.

    Each has `request_id`, and `right` (true or false) or `score`; it may have `tier`, `tenant` and `source`.

    Raises:
        FeedbackInvalid: a line has another form.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _feedback(json.loads(line), source)
        except (TypeError, ValueError) as error:
            raise FeedbackInvalid(f"line {number}: {error}") from None


def _feedback(value: Any, source: Source) -> Feedback:
    if not isinstance(value, dict) or not isinstance(value.get("request_id"), str):
        raise TypeError('must be an object such as {"request_id": "…", "right": true}')
    right, score = value.get("right"), value.get("score")
    if isinstance(right, bool) and score is None:
        score = RIGHT if right else WRONG
    if isinstance(score, bool) or not isinstance(score, int | float) or not WRONG <= score <= RIGHT:
        raise ValueError("needs right, true or false, or score, a number from -1 to 1")
    source = value.get("source", source)
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)} (got {source!r})")
    return Feedback(value["request_id"], float(score), source, value.get("tier"), value.get("tenant"))


def _tenants(connection: Connection, given: Feedback) -> Sequence[str]:
    query = select(requests.c.tenant).where(requests.c.request_id == given.request_id).distinct()
    if given.tenant is not None:
        query = query.where(requests.c.tenant == given.tenant)
    return list(connection.scalars(query))
