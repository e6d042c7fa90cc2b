"""Would catch figures of the overhead that are computed wrongly, or an object without the keys that others read."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closed_loop import Block
from measurement import SCENARIOS, SystemFigures
from overhead_report import BUDGETS, TELEMETRY, Budget, headline, tables, telemetry_table
from pairs import NothingMeasured, Pairs, per_second, quantile_ms, requests
from question import IncompleteAnswer, Question, count_tokens
from telemetry_cost import TelemetryFigures

KEYS = {
    "added_p50_ms",
    "added_p99_ms",
    "cpu_ms_per_request",
    "requests_per_second",
    "stream_token_ratio",
    "stream_saturated_ratio",
    "rss_mb",
}


def block(
    latency_ms: list[float], *, tokens: int = 100, seconds: float = 1.0, cpu_seconds: float = 0.0
) -> Block:
    """Return a block in which each request took one of the given times."""
    return Block(seconds, len(latency_ms), tokens, cpu_seconds, latency_ms, latency_ms)


def figures() -> SystemFigures:
    """Return figures of which every one is known."""
    pairs = Pairs([block([1.0, 2.0, 3.0], tokens=200)], [block([3.0, 4.0, 5.0], cpu_seconds=0.006)])
    return SystemFigures(dict.fromkeys(SCENARIOS, pairs), 120.0)


def test_headline_has_every_key_and_the_right_values() -> None:
    named = headline(figures())
    assert set(named) == KEYS
    assert named["added_p50_ms"] == 2.0
    assert named["cpu_ms_per_request"] == 2.0
    assert named["requests_per_second"] == 3.0
    assert named["stream_token_ratio"] == named["stream_saturated_ratio"] == 0.5
    assert named["rss_mb"] == 120.0


def test_the_cost_of_tracing_is_the_median_over_neighbours() -> None:
    made = TelemetryFigures(
        {
            "off": [block([1.0], cpu_seconds=0.001), block([1.0], cpu_seconds=0.010)],
            "sampled": [block([1.0], cpu_seconds=0.001), block([1.0], cpu_seconds=0.0102)],
            "full": [block([1.0], cpu_seconds=0.0011), block([1.0], cpu_seconds=0.0108)],
        }
    )
    named = made.headline()
    # Neither the slow minute nor the quick one counts: each is compared with what ran beside it.
    assert named == {"cpu_ratio_full": 1.09, "cpu_ratio_sampled": 1.01, "cpu_ms_off": 5.5}
    assert set(named) == set(TELEMETRY)
    assert "MISSED" in telemetry_table({**named, "cpu_ratio_full": 1.2})
    assert "MISSED" not in telemetry_table(named)


def test_every_headline_has_a_row_of_budgets() -> None:
    assert set(BUDGETS) == KEYS


def test_tables_show_every_load_of_every_system() -> None:
    text = tables({"embedded": figures(), "separate": figures()})
    for system in ("embedded", "separate"):
        assert all(f"{system}, {name}" in text for name in SCENARIOS)
    assert "MISSED" in text


def test_a_budget_is_kept_at_its_limit() -> None:
    assert Budget({"embedded": 3.0}).verdict("embedded", 3.0) == "<= 3 kept"
    assert Budget({"embedded": 3.0}).verdict("embedded", 3.1) == "<= 3 MISSED"
    assert Budget({"embedded": 0.8}, at_most=False).verdict("embedded", 0.7) == ">= 0.8 MISSED"
    assert Budget({"embedded": 3.0}).verdict("separate", 99.0) == ""


def test_one_disturbed_pair_does_not_move_the_ratio() -> None:
    calm, disturbed = block([1.0], tokens=90), block([1.0], tokens=1)
    pairs = Pairs([block([1.0], tokens=100)] * 3, [calm, disturbed, calm])
    assert pairs.token_ratio() == 0.9


def test_rates_are_over_the_time_of_all_blocks() -> None:
    blocks = [block([1.0], tokens=10, seconds=1.0), block([1.0], tokens=50, seconds=3.0)]
    assert per_second(blocks, "tokens") == 15.0
    assert per_second(blocks, "requests") == 0.5


@given(st.lists(st.floats(0.0, 1e6), min_size=1), st.lists(st.floats(0.0, 1e6), min_size=1))
def test_the_middle_quantile_is_the_median_over_all_blocks(first: list[float], second: list[float]) -> None:
    expected = statistics.median(first + second)
    assert quantile_ms([block(first), block(second)], 0.5) == pytest.approx(expected)


def test_nothing_measured_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(NothingMeasured, match="--seconds"):
        quantile_ms([Block()], 0.5)
    with pytest.raises(NothingMeasured, match="--seconds"):
        requests([Block()])


@given(st.lists(st.integers(0, 20), min_size=1))
def test_tokens_are_counted_however_the_text_is_cut(sizes: list[int]) -> None:
    text = "t0 t1 t2 t3 t4 量子 t6 t7. t8"
    counted, seen, rest = 0, False, text
    for size in [*sizes, len(text)]:
        piece, rest = rest[:size], rest[size:]
        if piece:
            counted += count_tokens(piece, first=not seen)
            seen = True
    assert counted == 9


def test_an_answer_of_another_length_is_refused() -> None:
    question = Question(stream=True, tokens=2)
    question.check(2)
    with pytest.raises(IncompleteAnswer):
        question.check(1)
