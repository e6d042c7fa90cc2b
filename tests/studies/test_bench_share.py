"""Would catch a bench that measures something else than it says: windows, settling, the oracle, what drifts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from routing_bench import held_share
from routing_bench.corpus import RowMissing
from share import FIXED, LIVE, ORACLE, Bench, arguments
from share_money import money_table
from share_replay import Routed, by_oracle
from share_report import SETTLING, Replay, as_object, table
from share_traffic import Question, Request, Scenario, draw, scenarios
from tests.fakes.services import signals

REQUESTS = 3000
WINDOW = 500


def pool() -> dict[str, list[Question]]:
    """Return three kinds of questions with scores of their own; the cheap tier is right half of the time."""
    spans = {"easy": (0.6, 1.0), "middling": (0.4, 0.8), "hard": (0.0, 0.3)}
    return {
        name: [Question(signals(low + (high - low) * n / 50), float(n % 2), 1.0) for n in range(50)]
        for name, (low, high) in spans.items()
    }


def routed(strong: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Routed:
    return Routed(strong, np.zeros(len(strong)))


def replay(changes: tuple[int, ...] = (0,)) -> Replay:
    easy = pool()["easy"][0]
    return Replay("test", [Request(easy, "anonymous", "")] * REQUESTS, changes, 0.5, WINDOW)


def test_the_live_control_holds_what_a_fixed_threshold_does_not() -> None:
    words = ["nowhere", "--requests", str(REQUESTS), "--window", str(WINDOW)]
    bench = Bench(arguments(words), pool())
    step = next(each for each in scenarios(REQUESTS) if each.name == "step")
    found, contenders = bench.run(step)
    rows = {name: found.row(name, contenders[name], 0.0) for name in (LIVE, FIXED, ORACLE)}
    assert rows[LIVE].settled_max < 3.0 < rows[FIXED].settled_max
    assert rows[LIVE].share == pytest.approx(0.3, abs=0.005)
    assert rows[FIXED].settling_requests is None


def test_an_alternating_route_has_no_error_and_half_of_the_rightness() -> None:
    row = replay().row("even", routed(np.arange(REQUESTS) % 2 == 0), oracle_right=60.0)
    assert (row.settled_max, row.settling_requests, row.met) == (0.0, 0, True)
    assert (row.right, row.lost) == (50.0, 10.0)  # the cheap tier is wrong on this question


def test_settling_ends_with_the_last_window_that_is_off() -> None:
    strong = np.arange(REQUESTS) % 2 == 0
    strong[:100] = True
    # A window that begins at 90 has 10 too many of 100 in excess: 5 of 500 are one point.
    row = replay().row("late", routed(strong), 0.0)
    assert row.settling_requests == pytest.approx(90, abs=2)
    assert row.settled_max == 0.0
    assert row.anywhere_max == pytest.approx(10.0)
    changed = replay((0, 1000)).row("late", routed(np.roll(strong, 1000)), 0.0)
    assert changed.settling_requests == pytest.approx(90, abs=2)


def test_a_share_that_never_comes_back_never_settles() -> None:
    row = replay().row("none", routed(np.zeros(REQUESTS, dtype=bool)), 0.0)
    assert (row.settling_requests, row.settled_max, row.met) == (None, 50.0, False)
    assert SETTLING < REQUESTS - WINDOW


def test_the_oracle_takes_the_lowest_scores_of_each_window_and_minds_what_is_forced() -> None:
    questions = [Question(signals((n % 10) / 10), 0.0, 1.0) for n in range(20)]
    tenants = ["without" if n % 10 == 0 else "anonymous" for n in range(20)]
    requests = [
        Request(each, tenant, "pro" if n % 10 == 9 else "")
        for n, (each, tenant) in enumerate(zip(questions, tenants, strict=True))
    ]
    strong = by_oracle(requests, 0.3, 10).strong
    assert [n % 10 for n in np.flatnonzero(strong)] == [1, 2, 9] * 2


def test_every_scenario_mixes_to_one_and_is_drawn_the_same_twice() -> None:
    for scenario in scenarios(REQUESTS):
        place = np.arange(REQUESTS) / REQUESTS
        assert np.allclose(scenario.mix(place, REQUESTS).sum(axis=1), 1.0)
        assert draw(scenario, pool(), 50, 3) == draw(scenario, pool(), 50, 3)


def test_what_is_forced_is_forced_as_often_as_it_says() -> None:
    scenario = Scenario("forced", scenarios(REQUESTS)[0].mix, forced=(0.15, 0.05))
    drawn = draw(scenario, pool(), REQUESTS, 1)
    assert np.mean([each.tenant == "without" for each in drawn]) == pytest.approx(0.15, abs=0.03)
    assert np.mean([each.tier == "pro" for each in drawn]) == pytest.approx(0.05, abs=0.02)


def test_rows_in_both_forms() -> None:
    row = replay().row("none", routed(np.zeros(REQUESTS, dtype=bool)), 0.0)
    assert "| never |" in table([row])
    assert as_object([row], window=WINDOW)["rows"][0]["settling_requests"] is None


def test_money_is_measured_by_what_the_answers_cost() -> None:
    words = ["nowhere", "--requests", "6000", "--window", str(WINDOW), "--usd-per-1k", "0.3"]
    row = Bench(arguments(words), pool()).money(scenarios(6000)[0])
    assert row.measured_usd_per_1k == pytest.approx(0.3, rel=0.05)
    assert 0.0 < row.window_p95 <= row.window_max < 30.0
    assert row.scenario in money_table([row])


def test_the_routing_bench_has_the_worst_scenario_as_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_share, "kinds", lambda _: pool())
    monkeypatch.setattr(held_share, "QUICK_REQUESTS", REQUESTS)
    (row,) = held_share.held_share([Path("nowhere")], quick=True)
    assert (row.bar, row.met, row.more["scenarios"]) == (1.0, row.value <= 1.0, len(scenarios(REQUESTS)))
    # Of 3,000 requests a tenth of a point is three.
    assert 0.0 < row.low <= row.value < 3.0


def test_without_the_tables_that_traffic_is_drawn_from_there_is_no_row(tmp_path: Path) -> None:
    with pytest.raises(RowMissing):
        held_share.held_share([tmp_path], quick=True)
