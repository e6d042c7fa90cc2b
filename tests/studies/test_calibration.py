"""Would catch thresholds that do not give the share, intervals that are too narrow, and a policy that is damaged."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.calibration.intervals import quantile_interval, share_interval
from tandem.calibration.reliability import reliability
from tandem.calibration.sample import NoSample, sample_of
from tandem.calibration.thresholds import (
    CostOutOfReach,
    Costs,
    cut_for_share,
    cuts_by_slice,
    effect,
    share_for_cost,
    worth_writing,
)
from tandem.calibration.traffic import Scored, TrafficError, read_traffic
from tests.fakes import artifacts
from tests.fakes.services import FakeClassifier, signals

SCORES = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60)


def lines(folder: Path, *values: Any) -> Path:
    file = folder / "traffic.jsonl"
    file.write_text(
        "".join(f"{value if isinstance(value, str) else json.dumps(value)}\n" for value in values)
    )
    return file


# --- thresholds


@given(SCORES, st.floats(0, 1))
def test_no_other_cut_between_different_scores_comes_nearer(scores: list[float], share: float) -> None:
    found = cut_for_share(np.array(scores), share)
    below = sum(score < found.threshold.value for score in scores)
    assert found.share.value == below / len(scores)
    possible = [sum(score < limit for score in scores) for limit in (*set(scores), 1.0)]
    # A threshold has six decimals, so scores that are closer than that stay together.
    if all(b - a > 2e-6 for a, b in zip(sorted(set(scores)), sorted(set(scores))[1:], strict=False)):
        assert (
            abs(below - share * len(scores))
            <= min(abs(each - share * len(scores)) for each in possible) + 1e-9
        )
    assert found.threshold.low <= found.threshold.value <= found.threshold.high


def test_a_known_quantile() -> None:
    found = cut_for_share(np.arange(1000) / 1000, 0.3)
    assert found.threshold.value == pytest.approx(0.2995)
    assert found.share.value == 0.3
    # Binomial(1000, 0.3) has a standard deviation of 14.5: the ranks are 300 ± 28.
    assert found.threshold.low == pytest.approx(0.271, abs=0.002)
    assert found.threshold.high == pytest.approx(0.329, abs=0.002)


def test_the_interval_of_a_quantile_holds_it_in_95_of_100_samples() -> None:
    chance, hits = np.random.default_rng(1), 0
    true = 0.3**2  # of scores that are squares of uniform numbers
    for _ in range(500):
        low, high = quantile_interval(np.sort(chance.random(200) ** 2), 0.3)
        hits += low <= true <= high
    assert 0.93 <= hits / 500 <= 0.985


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (0, 0, 0.0, 1.0)]
)
def test_wilsons_interval(successes: int, count: int, low: float, high: float) -> None:
    """Values from Wilson's formula by hand."""
    assert list(share_interval(successes, count)) == pytest.approx([low, high], abs=2e-4)


def test_a_cost_buys_the_lowest_scores() -> None:
    scores = np.array([0.9, 0.1, 0.5, 0.3])
    costs = Costs(np.full(4, 10.0), np.array([100.0, 50.0, 100.0, 30.0]))
    # All cheap: 40. The lowest score costs 40 more, the next 20, the next 90.
    assert share_for_cost(scores, costs, 24.9) == 0.25
    assert share_for_cost(scores, costs, 25.0) == 0.5
    assert share_for_cost(scores, costs, 1000.0) == 1.0
    with pytest.raises(CostOutOfReach, match="by the cheap tier alone"):
        share_for_cost(scores, costs, 9.0)


def mixed() -> list[Scored]:
    """Return 300 requests in each of two languages, of which one has lower scores; the strong tier is right."""
    return [
        Scored(
            (n + 0.5) / 300 * (1.0 if language == "en" else 0.5), language, "legal", 100, float(n % 2), 1.0
        )
        for language in ("en", "zh")
        for n in range(300)
    ]


def test_slices_get_the_share_each() -> None:
    requests = mixed()
    overall = cut_for_share(np.array([each.r1_suffices for each in requests]), 0.3)
    cuts = cuts_by_slice(requests, 0.3, 200)
    assert [(cut.language, cut.domain) for cut in cuts] == [
        ("en", None),
        ("zh", None),
        (None, "legal"),
        ("en", "legal"),
        ("zh", "legal"),
    ]
    assert [round(cut.threshold.value, 2) for cut in cuts] == [0.3, 0.15, 0.2, 0.3, 0.15]
    chosen = worth_writing(overall, cuts)
    assert [(cut.language, cut.domain) for cut in chosen] == [
        ("en", None),
        ("zh", None),
        ("en", "legal"),
        ("zh", "legal"),
    ]
    assert cuts_by_slice(requests, 0.3, 301)[0].domain == "legal"


def test_what_thresholds_give() -> None:
    requests = mixed()
    costs = Costs(np.full(600, 1e6), np.full(600, 11e6))
    overall = cut_for_share(np.array([each.r1_suffices for each in requests]), 0.3)
    found = effect(requests, costs, overall, cuts_by_slice(requests, 0.3, 200))
    assert found.share.value == pytest.approx(0.3)
    assert found.usd_per_1k.value == pytest.approx(0.7 * 1 + 0.3 * 11)
    assert found.quality is not None
    assert found.quality.value == pytest.approx(0.7 * 0.5 + 0.3)
    unknown = effect([Scored(0.5)], Costs(np.ones(1), np.ones(1)), overall, [])
    assert unknown.quality is None


# --- traffic


def test_every_form_of_a_line(tmp_path: Path) -> None:
    found = signals(0.25)
    found.language.value, found.language.confidence = "zh", 0.9
    found.context_tokens = 7
    file = lines(
        tmp_path,
        {"text": "why?", "r1_right": True, "pro_right": 0.5},
        {"messages": [{"role": "user", "text": "为什么?"}]},
        "",
        {"r1_suffices": {"value": 0.5, "confidence": 0.8}, "language": {"value": "en", "confidence": 0.2}},
        {"r1_suffices": {}, "domain": {"value": "DOMAIN_LEGAL", "confidence": 0.9}, "r1_right": None},
        {"signals": {"r1_suffices": 0.75, "language": "fr", "domain": "medical"}},
    )
    assert read_traffic(file, FakeClassifier(found)) == [
        Scored(0.25, "zh", "science", 7, 1.0, 0.5),
        Scored(0.25, "zh", "science", 7),
        Scored(0.5, None, None, 0),  # less than half sure of the language
        Scored(0.0, None, "legal", 0),
        Scored(0.75, "fr", "medical", 0),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", ":1: is not JSON"),
        ("[1]", ":1: must be an object"),
        ({"question": "why?"}, ":1: needs text, messages"),
        ({"text": 5}, ":1: needs text, messages"),
        ({"messages": []}, ":1: messages must be a list"),
        ({"text": "why?", "r1_right": "yes"}, ":1: r1_right must be true, false"),
        ({"r1_suffices": 1.5}, ":1: r1_suffices must be a number from 0 to 1"),
        ("", "has no requests"),
    ],
)
def test_traffic_that_cannot_be_read(tmp_path: Path, line: Any, said: str) -> None:
    with pytest.raises(TrafficError, match=said):
        read_traffic(lines(tmp_path, line), FakeClassifier())


def artifact(folder: Path, card: dict[str, Any]) -> Path:
    """Write an artifact with a model card."""
    file = folder / "a.safetensors"
    artifacts.write(file, card=card)
    return file


def test_the_sample_of_an_artifact_is_spread_like_its_quantiles(tmp_path: Path) -> None:
    squares = [(n / 100) ** 2 for n in range(101)]
    file = artifact(tmp_path, {"score_quantiles": {"all": squares, "en": squares, "zh": [0.5] * 101}})
    found = sample_of(file)
    english = np.array([each.r1_suffices for each in found if each.language == "en"])
    assert len(english) == len(found) / 2
    assert np.quantile(english, 0.3) == pytest.approx(0.09, abs=0.002)
    only = sample_of(artifact(tmp_path, {"score_quantiles": {"all": squares}}))
    assert {each.language for each in only} == {None}


@pytest.mark.parametrize("card", [{}, {"score_quantiles": {"all": [0.5]}}, {"score_quantiles": None}])
def test_an_artifact_without_a_sample(tmp_path: Path, card: dict[str, Any]) -> None:
    with pytest.raises(NoSample, match="--traffic FILE"):
        sample_of(artifact(tmp_path, card))
    with pytest.raises(NoSample, match="--traffic FILE"):
        sample_of(tmp_path / "none")


# --- reliability


def test_reliability_of_a_score_that_promises_too_much() -> None:
    requests = [Scored(0.85, r1_right=float(n < 6)) for n in range(10)]
    requests += [Scored(0.15, r1_right=float(n < 3)) for n in range(20)]
    found = reliability([*requests, Scored(0.5)])
    assert found is not None
    assert (found.requests, [each.requests for each in found.bins]) == (30, [20, 10])
    assert math.isclose(found.error, (10 * 0.25 + 20 * 0.0) / 30, abs_tol=1e-9)
    assert reliability([Scored(0.5)]) is None
