"""Would catch a story that is not the ledger's (order, bars, times), and an identifier that finds another request."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from tandem.cli.app import app
from tandem.cli.trace_story import WHY, story_of
from tandem.ledger.entry import Entry
from tandem.ledger.opening import open_ledger
from tandem.ledger.rows import rows_of
from tandem.ledger.tables import attempts, degradations, requests
from tandem.v1 import types_pb2
from tests.fakes.entries import Tokens, entry, url_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PRO, R1_INT8 = types_pb2.Target(tier="pro", variant="bf16"), types_pb2.Target(tier="r1", variant="int8")


def taken_over() -> Entry:
    """Return a request whose first attempt ran out of memory after 12 bytes, so that another one took over."""
    made = entry("r-over", [Tokens("pro", 11, 3, 50), Tokens("r1", 11, 200, 70)], tenant="acme")
    answer, (first, second) = made.answer, made.answer.attempts
    answer.duration_ms = 9_000.0
    answer.plan.strategy, answer.plan.rule = types_pb2.STRATEGY_ROUTE, "contracts"
    answer.plan.chosen_by, answer.plan.threshold = types_pb2.CHOSEN_BY_SCORE, 0.8
    answer.plan.margin_ms, answer.plan.reserve_ms = 50.0, 4_000.0
    signals = answer.signals
    signals.task.value, signals.domain.value = types_pb2.TASK_CODE, types_pb2.DOMAIN_LEGAL
    signals.language.value, signals.complexity.value, signals.r1_suffices.value = "zh", 6.5, 0.42
    first.target.CopyFrom(PRO)
    first.outcome, first.error_reason = types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY, "OUT_OF_MEMORY"
    first.ClearField("finish_reason")
    first.started_ms, first.queued_ms, first.ttft_ms, first.duration_ms = 1_000.0, 900.0, 500.0, 4_000.0
    second.target.CopyFrom(R1_INT8)
    second.started_ms, second.ttft_ms, second.duration_ms = 5_000.0, 300.0, 3_999.0
    second.allowance_ms, second.seam_byte_offset = 14_950.0, 12
    answer.degradations.add(
        reason=types_pb2.DEGRADATION_REASON_OUT_OF_MEMORY,
        from_target=PRO,
        to_target=R1_INT8,
        max_tokens=256,
    )
    return made._replace(trace_id=TRACE)


def passed_over() -> Entry:
    """Return a request for a model that was known to be sick, so that another one answered from the start."""
    made = entry("sick", [Tokens("r1", 11, 4, 7)])
    made.answer.attempts[0].target.CopyFrom(R1_INT8)
    made.answer.plan.chosen_by = types_pb2.CHOSEN_BY_CLIENT
    made.answer.degradations.add(
        reason=types_pb2.DEGRADATION_REASON_OUT_OF_MEMORY, from_target=PRO, to_target=R1_INT8
    )
    return made


@pytest.fixture
def url(tmp_path: Path) -> str:
    cached = entry("r-cached", [])
    cached.answer.cache, cached.answer.source_request_id = types_pb2.CACHE_OUTCOME_HIT, "r-over"
    cached.answer.answered_by.CopyFrom(PRO)
    ledger = open_ledger(url_of(tmp_path))
    for each in (
        taken_over(),
        cached,
        passed_over(),
        entry("lost", [], reason="OVERLOADED"),
        entry("gone", reason="CANCELLED"),
    ):
        ledger.write(each)
    asyncio.run(ledger.close())
    return url_of(tmp_path)


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["trace", *arguments, "--database", url])


def told(url: str, name: str) -> Any:
    result = run(url, name, "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["requests"]
    return found


def test_the_story_of_a_takeover(url: str) -> None:
    found = told(url, "r-over")
    story = found["story"]
    assert story["taken_for"] == "code, legal, zh, complexity 6.5 of 10, R1 suffices 0.42"
    assert story["why"] == (
        "pro/bf16: by the probability that R1 suffices: 0.42 against the threshold 0.80; under the rule contracts"
    )
    assert [(event["at_ms"], event["what"]) for event in story["events"]] == [
        (0.0, "asked"),
        (100.0, "queued"),
        (1000.0, "started"),
        (1500.0, "first_token"),
        (5000.0, "ended"),
        (5000.0, "started"),
        (5300.0, "first_token"),
        (8999.0, "ended"),
        (9000.0, "finished"),
    ]
    texts = [event["text"] for event in story["events"]]
    assert texts[0].endswith(
        "of tenant acme, to be answered in 20 000 ms, 4 000 ms of it reserved for a fallback"
    )
    assert texts[4] == "pro/bf16: out of memory (OUT_OF_MEMORY), 11 tokens in, 3 out"
    assert texts[5] == "r1/int8 takes over at byte 12 of the text, may take 14 950 ms"
    assert texts[8] == "answered by r1/fp16; 11 000 ms left"
    assert story["not_as_planned"] == ["out of memory of pro/bf16 → r1/int8, at most 256 tokens"]
    assert story["left_ms"] == 11_000.0
    first, second = story["timeline"]
    assert [(phase["what"], phase["from_ms"], phase["to_ms"]) for phase in first["phases"]] == [
        ("queued", 100.0, 1000.0),
        ("first_token", 1000.0, 1500.0),
        ("writing", 1500.0, 5000.0),
    ]
    assert (first["allowed_until_ms"], second["allowed_until_ms"]) == (15_100.0, 19_950.0)
    # It is the request as `tandem ledger show` has it, too.
    assert (found["trace_id"], found["attempts"][1]["seam_byte_offset"]) == (TRACE, 12)


def test_who_was_passed_over_is_who_was_chosen(url: str) -> None:
    story = told(url, "sick")["story"]
    assert story["why"] == "pro/bf16: the client asked for it, but r1/int8 in its place from the start"
    assert story["not_as_planned"] == ["out of memory of pro/bf16 → r1/int8"]


def test_the_bars_are_drawn_over_the_deadline(url: str) -> None:
    lines = run(url, "r-over").stdout.splitlines()
    bars = [line for line in lines if line.startswith(("0 pro/bf16 primary", "1 r1/int8 fallback"))]
    # 120 columns, less the longest name and the space behind it, stand for the deadline of 20,000 ms.
    width = 120 - len("1 r1/int8 fallback") - 4
    first, second = (line[len("1 r1/int8 fallback") + 2 :] for line in bars)
    assert first.count("·") == round(1000 / 20_000 * width) - round(100 / 20_000 * width)
    assert (
        first.index("█") == second.index("░") - round(3500 / 20_000 * width) == round(1500 / 20_000 * width)
    )
    assert len(second.rstrip(" ┊")) == round(8999 / 20_000 * width)
    assert (first.count("╱"), second.index("╱")) == (0, second.index("░") - 1)
    assert second.index("┊") == int(19_950 / 20_000 * width)
    assert any(line.rstrip().endswith("deadline 20 000 ms") for line in lines)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("r-cached", "answered by pro/bf16, from the cache: made for request r-over; 19 880 ms left"),
        ("lost", "error OVERLOADED; 19 880 ms left"),
        ("gone", "the client went away; 19 880 ms left"),
    ],
)
def test_how_other_requests_end(url: str, name: str, words: str) -> None:
    assert told(url, name)["story"]["events"][-1]["text"] == words
    assert words in run(url, name).stdout


@pytest.mark.parametrize(("name", "found"), [("r-o", "r-over"), ("los", "lost"), (TRACE, "r-over")])
def test_a_beginning_or_a_trace_is_enough(url: str, name: str, found: str) -> None:
    assert told(url, name)["request_id"] == found


@pytest.mark.parametrize(
    ("name", "words", "matches"),
    [
        (
            "r-",
            "r- is the beginning of several identifiers (r-cached, r-over); write more of it",
            ["r-cached", "r-over"],
        ),
        ("R-o", "no request R-o in the ledger", []),
        ("%", "no request % in the ledger", []),
        ("", "no request  in the ledger", []),
    ],
)
def test_what_is_not_found(url: str, name: str, words: str, matches: list[str]) -> None:
    plain, as_json = run(url, name), run(url, name, "--json")
    assert (plain.exit_code, as_json.exit_code) == (1, 1)
    assert words in plain.stderr
    assert json.loads(as_json.stdout) == {"requests": [], "matches": matches}


def test_a_ledger_that_is_not_there(tmp_path: Path) -> None:
    result = run(url_of(tmp_path), "r")
    assert result.exit_code == 2
    assert "there is no ledger" in result.stderr


def test_everything_that_chooses_has_words() -> None:
    names = [
        value.name for value in types_pb2.DESCRIPTOR.enum_types_by_name["ChosenBy"].values if value.number
    ]
    assert set(WHY) == {name.removeprefix("CHOSEN_BY_").lower() for name in names}


MS = st.floats(0, 30_000)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Draw a request that may have ended anyhow, and whose attempts had any times."""
    made = entry(
        "r",
        [Tokens(), Tokens("pro")][: draw(st.integers(0, 2))],
        reason=draw(st.sampled_from(["", "CANCELLED"])),
    )
    made.answer.duration_ms = draw(MS)
    for each in made.answer.attempts:
        each.started_ms, each.duration_ms = draw(MS), draw(MS)
        each.queued_ms = draw(st.floats(0, each.started_ms))
        if draw(st.booleans()):
            each.ttft_ms = draw(MS)
    return made


@given(entries())
def test_phases_are_in_order_and_fill_the_time_of_an_attempt(made: Entry) -> None:
    rows = rows_of(made)
    record: dict[str, Any] = dict(zip(requests.c.keys(), rows.request, strict=True))
    record["attempts"] = [dict(zip(attempts.c.keys(), row, strict=True)) for row in rows.attempts]
    record["degradations"] = [dict(zip(degradations.c.keys(), row, strict=True)) for row in rows.degradations]
    story = story_of(record)
    times = [event.at_ms for event in story.events]
    assert times == sorted(times)
    for bar, attempt in zip(story.bars, record["attempts"], strict=True):
        edges = [edge for phase in bar.phases for edge in (phase.from_ms, phase.to_ms)]
        assert edges == sorted(edges)
        assert sum(phase.to_ms - phase.from_ms for phase in bar.phases) == pytest.approx(
            attempt["queued_ms"] + attempt["duration_ms"], abs=1e-3
        )
