"""Would catch a fit that is no minimum, turns a signal around, forgets the prior, or judges itself by its own."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.calibration.gate import LEAST, STRENGTH, TooFewVerdicts, fit_gate
from tandem.ledger.labelled import Draft
from tandem.orchestrator.cascade_policy import Gate
from tandem.orchestrator.gate import Evidence, log_odds, probability, sigmoid

PRIOR = Gate()


def traffic(truth: Gate, count: int, seed: int = 1, **absent: None) -> list[Draft]:
    """Return drafts that are right with the probability that a gate gives them."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        signals: dict[str, float | None] = {
            name: chance.betavariate(2, 1) for name in ("confidence", "r1_suffices", "agreement")
        }
        signals.update(absent)
        right = chance.random() < probability(truth, Evidence(**signals))
        made.append(Draft(**signals, right=float(right)))
    return made


def cost(gate: Gate, drafts: list[Draft]) -> float:
    """Return what the fit minimises, worked out one draft at a time."""
    total = 0.0
    for draft in drafts:
        score = gate.intercept
        score += gate.confidence * log_odds(draft.confidence) + gate.r1_suffices * log_odds(draft.r1_suffices)
        score += gate.agreement * log_odds(draft.agreement)
        total -= draft.right * math.log(sigmoid(score)) + (1 - draft.right) * math.log(sigmoid(-score))
    names = ("intercept", "confidence", "r1_suffices", "agreement")
    return total + STRENGTH / 2 * math.fsum((getattr(gate, n) - getattr(PRIOR, n)) ** 2 for n in names)


def test_the_truth_is_found() -> None:
    truth = Gate(intercept=-1.5, confidence=1.2, r1_suffices=0.6, agreement=0.9)
    fitted = fit_gate(traffic(truth, 20_000), PRIOR, 0.5)
    assert fitted.gate.intercept == pytest.approx(-1.5, abs=0.1)
    assert fitted.gate.confidence == pytest.approx(1.2, abs=0.1)
    assert fitted.gate.r1_suffices == pytest.approx(0.6, abs=0.1)
    assert fitted.gate.agreement == pytest.approx(0.9, abs=0.1)
    assert fitted.better


def test_no_neighbour_costs_less() -> None:
    drafts = traffic(Gate(intercept=0.5, confidence=0.9, r1_suffices=1.5), 300)
    found = fit_gate(drafts, PRIOR, 0.5).gate
    for name in ("intercept", "confidence", "r1_suffices", "agreement"):
        for step in (-0.01, 0.01):
            moved = found.model_copy(update={name: getattr(found, name) + step})
            assert cost(moved, drafts) > cost(found, drafts)


def test_a_signal_that_tells_the_contrary_weighs_nothing() -> None:
    contrary = [
        Draft(1 - (draft.confidence or 0), None, None, draft.right)
        for draft in traffic(Gate(intercept=0, confidence=2, r1_suffices=0, agreement=0), 500)
    ]
    assert fit_gate(contrary, PRIOR, 0.5).gate.confidence == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_no_weight_is_ever_below_0(seed: int) -> None:
    chance = random.Random(seed)
    drafts = [Draft(chance.random(), chance.random(), chance.random(), float(n % 2)) for n in range(60)]
    gate = fit_gate(drafts, PRIOR, 0.5).gate
    assert min(gate.confidence, gate.r1_suffices, gate.agreement) >= 0


def test_a_signal_that_was_never_there_keeps_its_weight() -> None:
    gate = fit_gate(traffic(Gate(intercept=1), 300, agreement=None), PRIOR, 0.5).gate
    assert gate.agreement == PRIOR.agreement
    assert gate.intercept != PRIOR.intercept


def test_what_is_measured() -> None:
    # Confidence alone tells: right above one half, wrong below. Two of the right ones look wrong.
    drafts = (
        [Draft(0.9, None, None, 1.0)] * 48
        + [Draft(0.1, None, None, 0.0)] * 50
        + [Draft(0.1, None, None, 1.0)] * 2
    )
    before = fit_gate(drafts, Gate(intercept=0, confidence=1), 0.5).before
    assert before.found == 1.0
    assert before.false_alarms == pytest.approx(2 / 50)
    assert before.log_loss == pytest.approx(-(98 * math.log(0.9) + 2 * math.log(0.1)) / 100)


def test_a_gate_that_fits_already_is_not_beaten_by_chance() -> None:
    assert not fit_gate(traffic(PRIOR, 60, seed=3), PRIOR, 0.5).better


@pytest.mark.parametrize("right", [0, 9, LEAST - 9])
def test_too_few_verdicts(right: int) -> None:
    drafts = [Draft(0.5, 0.5, None, float(n < right)) for n in range(LEAST)]
    with pytest.raises(TooFewVerdicts, match="tandem ledger feedback"):
        fit_gate(drafts, PRIOR, 0.5)
