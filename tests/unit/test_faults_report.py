"""Would catch a row that breaks a bar and is said to keep it, and an object without the keys that others read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fault_matrix.books import Books
from fault_matrix.checker import Tally
from fault_matrix.process_rows import PROCESS_ROWS
from fault_matrix.prompt_rows import PROMPT_ROWS
from fault_matrix.report import as_object, as_table, in_time_share
from fault_matrix.result import Result

HEALTHY, HOPELESS = PROMPT_ROWS[0], next(row for row in PROMPT_ROWS if not row.healthy_tier)
KEYS = {"fault", "sent", "in_time", "degraded", "errors", "late", "lost", "byte_errors", "amplification"}
GOOD = Tally(sent=1000, waited=1000, in_time=999, errors=1)


def test_a_good_row_keeps_all_bars() -> None:
    assert Result(HEALTHY, GOOD, Books(1.1, 0.001)).broken == []
    assert Result(HEALTHY, GOOD, Books()).broken == []


@pytest.mark.parametrize(
    ("tally", "books", "bar"),
    [
        (replace(GOOD, in_time=998), Books(), "in_time"),
        (replace(GOOD, late=1), Books(), "late"),
        (replace(GOOD, lost=1), Books(), "lost"),
        (replace(GOOD, byte_errors=1), Books(), "byte_errors"),
        (GOOD, Books(1.101), "amplification"),
        (GOOD, Books(1.0, 0.0011), "ledger_error"),
    ],
)
def test_every_bar_can_be_broken(tally: Tally, books: Books, bar: str) -> None:
    result = Result(HEALTHY, tally, books)
    assert result.broken == [bar]
    assert bar in as_table([result], [])


def test_where_no_tier_is_well_nobody_has_to_be_answered_but_nobody_may_be_lost() -> None:
    assert Result(HOPELESS, replace(GOOD, in_time=0), Books()).broken == []
    assert Result(HOPELESS, replace(GOOD, in_time=0, lost=1), Books()).broken == ["lost"]


def test_the_share_counts_who_waited_where_a_tier_was_well() -> None:
    half = Tally(sent=400, waited=200, in_time=199)
    results = [
        Result(HEALTHY, half, Books()),
        Result(HEALTHY, GOOD, Books()),
        Result(HOPELESS, half, Books()),
    ]
    assert in_time_share(results) == 1198 / 1200
    assert in_time_share(results[2:]) is None


def test_the_object_has_what_others_read() -> None:
    found = json.loads(json.dumps(as_object([Result(HEALTHY, GOOD, Books(1.0, 0.0))], PROCESS_ROWS)))
    assert set(found) == {"rows", "skipped", "in_time_share"}
    assert found["rows"][0].keys() >= KEYS | {"ledger_error"}
    assert found["skipped"] == [row.name for row in PROCESS_ROWS]


def test_rows_have_names_of_their_own_and_half_of_each_streams() -> None:
    rows = [*PROMPT_ROWS, *PROCESS_ROWS]
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        streamed = sum(row.ask(number).stream for number in range(100))
        assert 50 <= streamed <= 54, row.name
    assert [row.name for row in PROMPT_ROWS if row.needs_control] == []
    assert [row.name for row in PROCESS_ROWS if not row.needs_control] == []
