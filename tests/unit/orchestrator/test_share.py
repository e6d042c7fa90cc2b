"""Would catch a share that is not held, that depends on how scores spread, or that is made up for after an outage."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.orchestrator.share import GAIN, MEASURED_REQUESTS, ShareController

BOUND = 1 / GAIN + 1
SCORES = st.floats(0, 1, width=32)
TARGETS = st.sampled_from([0.0, 0.03, 0.3, 0.5, 0.9, 1.0])


def held(controller: ShareController, scores: Sequence[float], threshold: float = 0.5) -> list[bool]:
    """Return which requests went to the strong tier when all are free to."""
    chosen = []
    for score in scores:
        choice = controller.choose(score - threshold, f"request-{controller.counted}")
        controller.count(strong=choice.strong, key=choice.key)
        chosen.append(choice.strong)
    return chosen


def worst(chosen: Sequence[bool], target: float) -> float:
    """Return by how many requests any stretch differs from the target: the range of the running difference."""
    difference, least, most = 0.0, 0.0, 0.0
    for strong in chosen:
        difference += strong - target
        least, most = min(least, difference), max(most, difference)
    return most - least


@given(st.lists(SCORES, min_size=1, max_size=400), TARGETS, st.floats(0, 1))
def test_any_scores_in_any_order_are_held(scores: list[float], target: float, threshold: float) -> None:
    controller = ShareController(target, threshold)
    assert worst(held(controller, scores, threshold), target) <= BOUND + 1e-6
    assert not controller.out_of_reach


@pytest.mark.parametrize("target", [0.05, 0.3, 0.8])
@pytest.mark.parametrize(
    "draw",
    [
        lambda r: r.betavariate(5, 3),
        lambda r: r.betavariate(0.2, 0.2),
        lambda r: 0.42,
        lambda r: r.choice([0.2, 0.2, 0.2, 0.9]),
        lambda r: 1.0,
        lambda r: 0.0,
    ],
    ids=["smooth", "at the ends", "all equal", "two values", "all one", "all zero"],
)
def test_independent_scores_settle_at_the_target(
    draw: Callable[[random.Random], float], target: float
) -> None:
    chance = random.Random(7)
    chosen = held(ShareController(target, 0.5), [draw(chance) for _ in range(6000)])
    for start in range(0, 6000, 2000):
        assert statistics.fmean(chosen[start : start + 2000]) == pytest.approx(target, abs=0.01)


def test_the_hardest_requests_go_to_the_strong_tier() -> None:
    """Of uniform scores the lowest 30 % do; the control's own movement costs little of that."""
    chance = random.Random(1)
    scores = [chance.random() for _ in range(6000)]
    chosen = held(ShareController(0.3, 0.3), scores)
    strong = [score for score, is_strong in zip(scores, chosen, strict=True) if is_strong]
    assert statistics.fmean(strong) == pytest.approx(0.15, abs=0.015)
    assert statistics.quantiles(strong, n=20)[-1] < 0.4


@pytest.mark.parametrize("drop", [0.05, -0.05])
def test_a_step_is_followed_within_few_hundred_requests(drop: float) -> None:
    chance = random.Random(3)
    controller = ShareController(0.3, 0.5)
    held(controller, [chance.gauss(0.5 + drop, 0.01) for _ in range(1000)])
    held(controller, [chance.gauss(0.5 - drop, 0.01) for _ in range(300)])
    chosen = held(controller, [chance.gauss(0.5 - drop, 0.01) for _ in range(2000)])
    assert statistics.fmean(chosen) == pytest.approx(0.3, abs=0.01)


def test_at_the_start_the_configured_threshold_holds() -> None:
    controller = ShareController(0.3, 0.6)
    assert controller.choose(0.55 - 0.6, "a").strong
    assert not controller.choose(0.65 - 0.6, "a").strong


@given(st.lists(SCORES, max_size=50), SCORES, st.text(max_size=20))
def test_choosing_changes_nothing(scores: list[float], score: float, request_id: str) -> None:
    controller = ShareController(0.3, 0.5)
    held(controller, scores)
    first = controller.choose(score, request_id)
    assert controller.choose(score, request_id) == first
    assert controller.counted == len(scores)


@given(st.lists(SCORES, min_size=1, max_size=100), TARGETS)
def test_the_same_requests_give_the_same_decisions(scores: list[float], target: float) -> None:
    first, second = ShareController(target, 0.5), ShareController(target, 0.5)
    assert held(first, scores) == held(second, scores)
    assert first.debt == second.debt


def test_equal_scores_are_parted_by_the_identifier_alone() -> None:
    controller = ShareController(0.3, 0.5)
    held(controller, [0.5] * 1000)
    counted_up = [controller.choose(0.0, f"{n:06}").strong for n in range(2000)]
    assert statistics.fmean(counted_up) == pytest.approx(0.3, abs=0.1)


def test_what_others_decide_is_made_up_for_by_those_who_are_free() -> None:
    """A fifth may not go to the strong tier, a tenth must."""
    chance, controller, chosen = random.Random(5), ShareController(0.3, 0.5), []
    for number in range(6000):
        forced = {0: True, 1: False, 2: False}.get(chance.randrange(10))
        choice = controller.choose(chance.betavariate(5, 3) - 0.5, str(number))
        strong = choice.strong if forced is None else forced
        controller.count(strong=strong, key=choice.key if forced is None else None)
        chosen.append(strong)
    assert statistics.fmean(chosen[2000:]) == pytest.approx(0.3, abs=0.005)
    assert controller.measured == statistics.fmean(chosen[-MEASURED_REQUESTS:])
    assert not controller.out_of_reach


@pytest.mark.parametrize(("forced", "target"), [(False, 0.3), (True, 0.2)])
def test_a_target_out_of_reach_is_said_and_not_made_up_for(forced: bool, target: float) -> None:
    controller = ShareController(target, 0.5)
    for _ in range(3000):
        controller.count(strong=forced, key=None)
    assert controller.out_of_reach
    chosen = held(controller, [random.Random(1).random() for _ in range(2000)])
    assert abs(statistics.fmean(chosen[:200]) - target) < 0.15
    assert not controller.out_of_reach


def test_nothing_is_owed_to_a_sick_tier() -> None:
    chance, controller = random.Random(5), ShareController(0.3, 0.5)
    held(controller, [chance.random() for _ in range(1000)])
    debt = controller.debt
    for _ in range(500):
        controller.count(strong=False, key=None, steer=False)
    assert controller.debt == debt
    assert controller.measured < 0.25


def test_a_fallback_to_the_strong_tier_counts() -> None:
    controller = ShareController(0.5, 0.5)
    tickets = [controller.count(strong=False, key=None) for _ in range(4)]
    debt = controller.debt
    controller.also(tickets[1])
    controller.also(tickets[2])
    assert controller.measured == 0.5
    assert controller.debt == debt - 2
    for _ in range(MEASURED_REQUESTS):
        controller.count(strong=False, key=None)
    controller.also(tickets[3])  # long forgotten
    assert controller.measured == 0.0


def test_it_costs_microseconds() -> None:
    chance, controller = random.Random(5), ShareController(0.3, 0.5)
    scores = [chance.random() for _ in range(4000)]
    began = time.process_time()
    held(controller, scores)
    assert (time.process_time() - began) / len(scores) < 50e-6  # measured: 4; ten times that is a defect
