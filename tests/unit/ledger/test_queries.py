"""Would catch sums that are not those of what was written, whatever the database went through meanwhile."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from tandem.ledger import pruning, queries, writer
from tandem.ledger.entry import Entry
from tandem.ledger.queries import ModelTokens, Total, Which
from tandem.ledger.rows import Rows
from tandem.ledger.schema import migrate, reading
from tandem.ledger.store import Store
from tandem.ledger.tables import attempts, degradations
from tandem.ledger.writer import LedgerWriter
from tandem.v1 import types_pb2
from tests.fakes.entries import START, Tokens, entry, url_of

MOST_ATTEMPTS = 4
MOST_TOKENS = (2**32 - 1) // MOST_ATTEMPTS  # an answer has the sum of its attempts in 32 bits
TOKENS = st.builds(
    Tokens,
    tier=st.sampled_from(["r1", "pro"]),
    input_tokens=st.integers(0, MOST_TOKENS),
    output_tokens=st.integers(0, MOST_TOKENS),
    cost_nano_usd=st.integers(0, 10**15),
)
ENTRIES = st.builds(
    entry,
    request_id=st.sampled_from(["a", "b", "c"]),
    attempts=st.lists(TOKENS, max_size=MOST_ATTEMPTS),
    tenant=st.sampled_from(["acme", "anonymous"]),
    age=st.timedeltas(timedelta(), timedelta(days=3)),
    reason=st.sampled_from(["", "DEADLINE_EXCEEDED", "CANCELLED"]),
)
FAULTS = st.lists(st.sampled_from(["none", "before", "after"]), max_size=6)
SESSIONS = st.lists(st.tuples(st.lists(ENTRIES, max_size=8), FAULTS), min_size=1, max_size=3)


class Faulty(Store):
    """A store whose transactions fail before they have begun or after they were committed."""

    def __init__(self, url: str, faults: Sequence[str]) -> None:
        super().__init__(url)
        self._faults = list(faults)
        self._lie = False

    def append(self, entries: Sequence[Rows]) -> None:
        fault = self._faults.pop(0) if self._faults else "none"
        if fault == "before":
            raise OSError("before")
        self._connection = self._connection or self._open()
        self._lie = fault == "after"
        super().append(entries)

    def _identity(self) -> tuple[int, int] | None:
        lie, self._lie = self._lie, False
        return None if lie else super()._identity()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    migrate(url_of(folder))
    return folder


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GATHER_SECONDS", "FIRST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS"):
            patch.setattr(writer, name, 0.001)
        patch.setattr(writer, "BATCH_ENTRIES", 3)
        yield


def write(url: str, entries: Sequence[Entry], faults: Sequence[str] = ()) -> None:
    """Write entries as one run of the orchestrator does."""
    ledger = LedgerWriter(Faulty(url, faults))
    for each in entries:
        ledger.write(each)
    asyncio.run(ledger.close())
    assert (ledger.lag, ledger.dropped) == (0, 0)


def expected(entries: Sequence[Entry], by: str) -> list[Total]:
    """Work the sums out from what was written."""
    sums: Counter[tuple[str | None, int]] = Counter()
    for each in entries:
        group = group_of(each, by)
        sums[group, 0] += 1
        for attempt in each.answer.attempts:
            own = attempt.target.tier if by == "tier" else group
            numbers = (1, attempt.usage.input_tokens, attempt.usage.output_tokens, attempt.cost_nano_usd)
            for position, number in enumerate(numbers, 1):
                sums[own, position] += number
    groups = sorted({group for group, _ in sums}, key=lambda group: (group is None, group))
    return [Total(group, *(sums[group, position] for position in range(5))) for group in groups]


def group_of(each: Entry, by: str) -> str | None:
    if by == "tenant":
        return each.tenant
    if by == "day":
        return f"{each.started_at:%Y-%m-%d}"
    if by == "tier":
        return each.answer.answered_by.tier or None
    return {"": "answered", "CANCELLED": "cancelled"}.get(each.reason, "error")


@given(sessions=SESSIONS)
@settings(max_examples=40)
def test_totals_are_the_sums_of_what_was_written(
    empty: Path, sessions: list[tuple[list[Entry], list[str]]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(empty / "ledger.sqlite", folder)
        for entries, faults in sessions:
            write(url_of(folder), entries, faults)
        everything = [each for entries, _ in sessions for each in entries]
        with reading(url_of(folder)) as connection:
            for by in queries.GROUPS:
                found = queries.totals(connection, Which(), by)
                assert found == expected(everything, by)
                # Whatever it is grouped by, the groups add up to the whole.
                whole = queries.total(connection, Which())
                assert whole.output_tokens == sum(each.output_tokens for each in found)
                assert (whole.requests, whole.cost_nano_usd) == (
                    sum(each.requests for each in found),
                    sum(each.cost_nano_usd for each in found),
                )


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger with requests of two tenants and of three days."""
    minute, day = timedelta(minutes=1), timedelta(days=1)
    entries = [
        entry("old", [Tokens("pro", 100, 200, 9)], tenant="acme", age=2 * day),
        entry("middle", [Tokens("pro", 1, 2, 3), Tokens("r1", 4, 5, 6)], tenant="acme", age=day),
        entry("lost", [], tenant="other", age=2 * minute, reason="OVERLOADED"),
        entry("new", tenant="other", age=minute),
    ]
    entries[1].answer.attempts[0].usage_settled = False
    entries[1].answer.degradations.add(reason=types_pb2.DEGRADATION_REASON_TIMEOUT)
    migrate(url_of(tmp_path))
    write(url_of(tmp_path), entries)
    return url_of(tmp_path)


def test_the_newest_come_first_with_their_number_of_attempts(url: str) -> None:
    with reading(url) as connection:
        found = queries.newest(connection, Which(), 3)
    assert [(each["request_id"], each["attempts"]) for each in found] == [
        ("new", 1),
        ("lost", 0),
        ("middle", 2),
    ]


def test_requests_can_be_picked(url: str) -> None:
    recent = Which(since=START - timedelta(hours=1))
    with reading(url) as connection:
        found = queries.newest(connection, Which(tenant="acme"), 10)
        assert [each["request_id"] for each in found] == ["middle", "old"]
        assert len(queries.newest(connection, recent, 10)) == 2
        assert queries.total(connection, replace(recent, tenant="acme")) == Total(None)
        assert queries.total(connection, replace(recent, tenant="acme")).amplification is None


def test_a_request_with_its_attempts_and_degradations(url: str) -> None:
    with reading(url) as connection:
        (found,) = queries.requests_named(connection, "middle")
        assert queries.requests_named(connection, "nobody") == []
    assert [each["tier"] for each in found["attempts"]] == ["pro", "r1"]
    assert [each["reason"] for each in found["degradations"]] == ["timeout"]


def test_tokens_by_model(url: str) -> None:
    with reading(url) as connection:
        assert queries.tokens_by_model(connection, Which()) == {
            "pro": ModelTokens(101, 202, 1),
            "r1": ModelTokens(14, 25, 0),
        }


def test_money_spent_today(tmp_path: Path) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    migrate(url_of(tmp_path))
    write(
        url_of(tmp_path),
        [
            entry(tenant="acme")._replace(started_at=midnight),
            entry(tenant="acme")._replace(started_at=midnight + timedelta(microseconds=1)),
            entry(tenant="thrifty")._replace(started_at=midnight - timedelta(microseconds=1)),
        ],
    )
    assert queries.spent_today(url_of(tmp_path)) == {"acme": 14_000}


def test_pruning_takes_everything_of_old_requests_and_nothing_else(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "REQUESTS_PER_TRANSACTION", 1)
    before = START - timedelta(hours=1)
    with reading(url) as connection:
        assert pruning.older(connection, before) == 2
        assert pruning.prune(connection, before) == 2
    with reading(url) as connection:
        assert [each["request_id"] for each in queries.newest(connection, Which(), 9)] == ["new", "lost"]
        assert queries.tokens_by_model(connection, Which()) == {"r1": ModelTokens(10, 20, 0)}
        assert connection.scalar(select(func.count()).select_from(attempts)) == 1
        assert connection.scalar(select(func.count()).select_from(degradations)) == 0
