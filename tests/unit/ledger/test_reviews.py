"""Would catch a review that is shown to nobody, settled twice, or settled without a verdict on the answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from tandem.ledger.entry import Entry
from tandem.ledger.opening import open_ledger
from tandem.ledger.queries import Which
from tandem.ledger.reviews import PENDING, Decision, count_pending, pending, settle
from tandem.ledger.schema import reading
from tandem.ledger.tables import feedback, requests
from tandem.v1 import types_pb2
from tests.fakes.entries import START, Tokens, entry, url_of

HOUR = timedelta(hours=1)


def to_review(request_id: str, review_id: str, hours: int, tenant: str = "clinic") -> Entry:
    made = entry(request_id, [Tokens("pro")], tenant=tenant, age=hours * HOUR)
    made.answer.review.id = review_id
    made.answer.review.status = types_pb2.REVIEW_STATUS_PENDING_HUMAN_REVIEW
    return made


@pytest.fixture
def url(tmp_path: Path) -> str:
    sharer = to_review("sharer", "case-2", 1)
    sharer.answer.source_request_id = "second"
    entries = [
        to_review("second", "case-2", 1),
        sharer,
        to_review("first", "case-1", 2),
        to_review("third", "case-3", 0, tenant="other"),
        entry("free", tenant="clinic"),
    ]
    ledger = open_ledger(url_of(tmp_path))
    for each in entries:
        ledger.write(each)
    asyncio.run(ledger.close())
    return url_of(tmp_path)


def waiting(url: str, which: Which | None = None, limit: int = 20) -> list[str]:
    with reading(url) as connection:
        found = pending(connection, which or Which(), limit)
        assert len(found) == min(limit, count_pending(connection, which or Which()))
    return [each["review_id"] for each in found]


def test_who_waits_longest_comes_first_and_who_shares_an_answer_is_no_other_case(url: str) -> None:
    assert waiting(url) == ["case-1", "case-2", "case-3"]
    assert waiting(url, limit=1) == ["case-1"]
    assert waiting(url, Which(tenant="other")) == ["case-3"]
    assert waiting(url, Which(since=START - HOUR)) == ["case-2", "case-3"]


def test_a_case_tells_whose_answer_it_is(url: str) -> None:
    with reading(url) as connection:
        first = pending(connection, limit=1)[0]
    assert (first["request_id"], first["tenant"], first["tier"], first["outcome"]) == (
        "first",
        "clinic",
        "pro",
        "answered",
    )


@pytest.mark.parametrize(("decision", "score"), [("approved", 1.0), ("corrected", -1.0)])
def test_a_review_is_settled_once_and_is_a_verdict_of_a_person(
    url: str, decision: Decision, score: float
) -> None:
    with reading(url) as connection:
        assert settle(connection, "case-2", decision) == PENDING
        assert settle(connection, "case-2", "approved") == decision
        kept = connection.execute(
            select(feedback.c.request_id, feedback.c.tenant, feedback.c.score, feedback.c.source)
        ).all()
        named = connection.execute(
            select(requests.c.request_id, requests.c.review_status).order_by(requests.c.request_id)
        ).all()
    # Of the two requests that share the answer, the one that made it has the verdict, and both have the status.
    assert kept == [("second", "clinic", score, "human")]
    assert named == [
        ("first", PENDING),
        ("free", None),
        ("second", decision),
        ("sharer", decision),
        ("third", PENDING),
    ]
    assert waiting(url) == ["case-1", "case-3"]


def test_what_the_ledger_does_not_know_changes_nothing(url: str) -> None:
    with reading(url) as connection:
        assert settle(connection, "case-9", "approved") is None
    assert len(waiting(url)) == 3


def test_a_ledger_without_reviews(tmp_path: Path) -> None:
    ledger = open_ledger(url_of(tmp_path))
    ledger.write(entry("free")._replace(started_at=START))
    asyncio.run(ledger.close())
    assert waiting(url_of(tmp_path)) == []
