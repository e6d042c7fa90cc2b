"""Would catch a comparison that prints what was not counted, or that hides a promise that Tandem broke."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import goodput
from goodput_report import Row, broken_promises, table
from tandem.simulation.outcomes import Outcome, Reply, Tally, Work
from tests.fakes.calls import call

KEPT = Outcome(
    sent=10,
    in_time=8,
    degraded=3,
    cut=1,
    errors=2,
    late=0,
    lost=0,
    amplification=1.1,
    pro_share=0.25,
    tokens_made=900,
    tokens_booked=900,
    goodput_per_second=4.0,
    p50_ms=1500.0,
    p99_ms=12_000.0,
    reasons={"OVERLOADED": 2},
)


def row(outcome: Outcome, contender: str = "tandem") -> Row:
    return Row("pro hangs", contender, 0.7, outcome)


def test_what_ends_is_counted_once() -> None:
    tally = Tally("pro")
    for seconds in (1.0, 3.0, 2.0):
        tally.answered(call(), Reply("r1", degraded=seconds > 2.0), seconds)
    tally.answered(call(), Reply("pro", cut=True), 4.0)
    tally.failed("OVERLOADED")
    tally.late()
    outcome = tally.outcome(8, 2.0, Work(attempts=9, tokens_made=70, tokens_booked=60))
    assert (outcome.in_time, outcome.errors, outcome.late, outcome.lost) == (4, 1, 1, 2)
    assert (outcome.degraded, outcome.cut, outcome.pro_share) == (1, 1, 0.25)
    assert (outcome.p50_ms, outcome.p99_ms, outcome.goodput_per_second) == (2000.0, 4000.0, 2.0)
    assert outcome.amplification == 9 / 8


def test_the_table_has_what_was_counted() -> None:
    printed = table([row(KEPT), row(replace(KEPT, in_time=5, late=3), "timeout 5 s")])
    assert "**pro hangs**, 10 requests" in printed
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if "|" in line]
    assert lines[2][:7] == ["tandem", "80.00%", "70.00%", "30.00%", "20.00%", "0.00%", "0"]
    assert lines[3][:7] == ["timeout 5 s", "50.00%", "40.00%", "30.00%", "20.00%", "30.00%", "0"]


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (replace(KEPT, late=1), "deadline"),
        (replace(KEPT, lost=1), "neither"),
        (replace(KEPT, tokens_booked=899), "ledger"),
    ],
)
def test_a_broken_promise_of_tandem_is_told(broken: Outcome, word: str) -> None:
    assert broken_promises([row(KEPT), row(broken, "timeout 5 s")]) == []
    (told,) = broken_promises([row(KEPT), row(broken)])
    assert "pro hangs" in told
    assert word in told


def test_a_small_comparison(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "new" / "goodput.png"
    words = ["--requests", "210", "--load", "0.5", "--json", "--plots", str(picture)]
    assert goodput.main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["requests"] == 210
    assert len(printed["rows"]) == 7 * 6
    for found in printed["rows"]:
        assert found["sent"] == 30
        assert found["in_time"] + found["errors"] + found["late"] + found["lost"] == 30
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert goodput.main(["--requests", "7", "--load", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("**") == 2 * 7
    assert "mixed, deadline/2" in captured.err


@pytest.mark.parametrize(
    "words", [["--requests", "0"], ["--load", "0"], ["--load", "101"], ["--plots", "a.txt"]]
)
def test_what_cannot_be_simulated_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        goodput.main(words)
    assert caught.value.code == 2
    assert "must be" in capsys.readouterr().err
