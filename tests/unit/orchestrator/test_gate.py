"""Would catch a gate that a better signal closes, that a missing signal moves, or numbers other than those stated."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.orchestrator.cascade_policy import Gate
from tandem.orchestrator.gate import Evidence, agreement_of_first, judge, log_odds, probability
from tandem.v1 import types_pb2

shares = st.floats(0, 1)
weights = st.floats(0, 100)
gates = st.builds(
    Gate, intercept=st.floats(-100, 100), confidence=weights, r1_suffices=weights, agreement=weights
)
evidence = st.builds(Evidence, *[st.none() | shares] * 3)


@given(gates, evidence)
def test_a_probability_is_one(gate: Gate, found: Evidence) -> None:
    assert 0 <= probability(gate, found) <= 1


@given(gates, st.lists(shares, min_size=3, max_size=3), st.integers(0, 2), shares)
def test_a_better_signal_never_lowers_it(gate: Gate, values: list[float], which: int, better: float) -> None:
    raised = list(values)
    raised[which] = max(values[which], better)
    assert probability(gate, Evidence(*raised)) >= probability(gate, Evidence(*values))


@given(gates, shares, shares)
def test_a_signal_that_is_not_there_weighs_nothing(gate: Gate, confidence: float, suffices: float) -> None:
    without = probability(gate, Evidence(confidence, suffices, None))
    assert without == probability(gate, Evidence(confidence, suffices, 0.5))


@given(evidence, shares, shares)
def test_a_higher_threshold_never_lets_more_pass(found: Evidence, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert judge(Gate(), low, found).escalated <= judge(Gate(), high, found).escalated


@given(gates, evidence)
def test_the_ends_of_the_threshold(gate: Gate, found: Evidence) -> None:
    assert not judge(gate, 0.0, found).escalated
    assert judge(gate, 1.0, found).escalated


def test_the_stated_formula() -> None:
    gate = Gate(intercept=-1.0, confidence=2.0, r1_suffices=1.0, agreement=0.5)
    # ln(0.9 / 0.1) = 2.1972, ln(0.6 / 0.4) = 0.4055, ln(0.75 / 0.25) = 1.0986
    score = -1.0 + 2 * 2.1972 + 0.4055 + 0.5 * 1.0986
    expected = 1 / (1 + math.e**-score)
    assert probability(gate, Evidence(0.9, 0.6, 0.75)) == pytest.approx(expected, abs=1e-4)


def test_by_default_a_usual_confidence_leaves_the_classifiers_probability() -> None:
    # ln(0.8 / 0.2) × 0.5 = 0.69, which the intercept sets off.
    assert probability(Gate(), Evidence(confidence=0.8, r1_suffices=0.63)) == pytest.approx(0.63, abs=0.01)


def test_the_verdict_says_what_it_went_by() -> None:
    verdict = judge(Gate(), 0.5, Evidence(confidence=0.25))
    assert (verdict.confidence, verdict.threshold, verdict.escalated) == (0.25, 0.5, True)
    assert not verdict.HasField("r1_suffices")
    assert not verdict.HasField("agreement")


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_no_signal_decides_for_good(certain: float) -> None:
    assert abs(log_odds(certain)) == pytest.approx(math.log(999), abs=1e-9)


def fusion(*ballots: tuple[str, float]) -> types_pb2.Fusion:
    return types_pb2.Fusion(ballots=[types_pb2.Ballot(normalised=form, weight=w) for form, w in ballots])


@pytest.mark.parametrize(
    ("ballots", "agreement"),
    [
        ([("A", 1), ("A", 2), ("B", 1)], 0.75),
        ([("A", 1), ("B", 2), ("B", 1)], 0.25),  # the draft's own part, not the winner's
        ([("A", 0), ("B", 0)], None),
        ([("", 0), ("B", 1)], None),
    ],
)
def test_agreement_is_with_the_draft(ballots: list[tuple[str, float]], agreement: float | None) -> None:
    assert agreement_of_first(fusion(*ballots)) == agreement
