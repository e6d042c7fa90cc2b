"""Catches readings off the points, labels that are decided without reason, and confidences that are not theirs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.classifier.heads import Heads
from tandem.v1 import types_pb2
from tests.fakes import artifacts

COLUMNS = artifacts.COLUMNS


def read(**columns: float) -> types_pb2.Signals:
    sums = np.zeros(len(COLUMNS), np.float32)
    for name, value in columns.items():
        sums[COLUMNS.index(name.replace("__", "."))] = value
    signals = types_pb2.Signals()
    Heads(artifacts.header()).read(sums, signals)
    return signals


@pytest.mark.parametrize(
    ("hard", "complexity", "suffices"),
    [(-3, 0, 0.9), (0, 0, 0.9), (2.5, 2.5, 0.7), (5, 5, 0.5), (7.5, 7.5, 0.3), (10, 10, 0.1), (1e6, 10, 0.1)],
)
def test_scores_lie_on_straight_lines_between_the_points(
    hard: float, complexity: float, suffices: float
) -> None:
    found = read(hard=hard)
    assert found.complexity.value == pytest.approx(complexity)
    assert found.r1_suffices.value == pytest.approx(suffices)


@given(st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32))
def test_harder_is_never_read_as_easier(one: float, other: float) -> None:
    low, high = read(hard=min(one, other)), read(hard=max(one, other))
    assert low.complexity.value <= high.complexity.value
    assert low.r1_suffices.value >= high.r1_suffices.value
    assert low.expected_gain.value <= high.expected_gain.value


def test_the_likeliest_label_is_decided_with_its_probability() -> None:
    found = read(task__code=3.0, domain__legal=2.0)
    assert found.task.value == types_pb2.TASK_CODE
    assert found.task.confidence == pytest.approx(math.exp(3) / (math.exp(3) + 7), abs=1e-4)
    assert found.domain.value == types_pb2.DOMAIN_LEGAL


def test_a_label_that_is_not_likely_enough_is_undecided() -> None:
    found = read(task__code=0.1)
    assert found.task.value == types_pb2.TASK_UNSPECIFIED
    assert found.task.confidence == pytest.approx(1 - math.exp(0.1) / (math.exp(0.1) + 7), abs=1e-4)


@pytest.mark.parametrize(
    ("log_odds", "value"), [(2, True), (-2, False), (0.1, None), (-0.1, None), (1e6, True)]
)
def test_professional_is_yes_no_or_neither(log_odds: float, value: bool | None) -> None:
    found = read(professional=log_odds).professional
    assert (found.value if found.HasField("value") else None) is value
    likelier = 1 / (1 + math.exp(-min(abs(log_odds), 30)))
    assert found.confidence == pytest.approx(likelier if value is not None else 1 - likelier, abs=1e-4)
