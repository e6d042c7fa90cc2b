"""Would catch a knee at the wrong place, cells that are not like the whole, and figures that contradict each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tandem.call import Call
from tandem.simulation import virtual_time
from tandem.simulation.chance import generator
from tandem.simulation.deployment import Deployment, loads
from tandem.simulation.estimates import Estimate
from tandem.simulation.fleet import Engines, Fleet, Site
from tandem.simulation.outcomes import Reply, Tally
from tandem.simulation.run import ask_all
from tandem.simulation.study import Point, Study, knee
from tests.unit.simulation.deployments import DEMAND, PLAIN, deployment

pytestmark = pytest.mark.timeout(180)
SMALL = 400


def study(count: int = 1, cells: int = 1, requests: int = SMALL, seed: int = 1) -> Study:
    return Study(deployment(count), DEMAND, cells, requests=requests, seed=seed)


def overlap(one: Estimate, other: Estimate) -> bool:
    return one.low <= other.high and other.low <= one.high


def test_the_knee_is_below_what_arithmetic_allows_and_not_far() -> None:
    """Little's law gives the rate at which all places are always taken: no queue can have that."""
    looked = Study(deployment(), DEMAND, engines=PLAIN, requests=1000)
    capacity = looked.capacity()
    last, beyond = knee(looked.sweep([capacity * part for part in (0.75, 1.1)], 0.99, lambda _: None), 0.99)
    assert last is not None
    assert beyond is not None
    assert 0.75 * capacity <= last.per_second < beyond.per_second <= capacity


def test_arithmetic_by_hand() -> None:
    questions = DEMAND.sample(1000, generator(1, "sample"))
    questions.prompt_tokens[:], questions.wanted_tokens[:] = 300, 200
    questions.r1_suffices[:800], questions.r1_suffices[800:] = 0.9, 0.1
    cheap, strong = loads(deployment(2), questions, full=1.5)
    # 2 × 10 places; 1.5 × (0.25 + 200 × 0.02) s; four fifths of the requests
    assert (cheap.tier, cheap.places) == ("r1", 20)
    assert cheap.hold_seconds == pytest.approx(6.375)
    assert cheap.per_second == pytest.approx(20 / 6.375 / 0.8)
    assert strong.per_second == pytest.approx(20 / 6.375 / 0.2)


@pytest.mark.parametrize("orchestrators", [1, 4, 5])
def test_any_number_of_orchestrators_fills_the_replicas(orchestrators: int) -> None:
    other = replace(deployment(2), orchestrators=orchestrators)
    questions = DEMAND.sample(1000, generator(1, "sample"))
    assert loads(other, questions, full=1.5) == loads(deployment(2), questions, full=1.5)
    rate = 0.7 * study(2).capacity()
    usual, found = study(2).at(rate), Study(other, DEMAND, requests=SMALL).at(rate)
    assert found.as_planned.value > usual.as_planned.value - 0.03


@pytest.mark.parametrize(("orchestrators", "most"), [(1, 20), (3, 3 * (6 + 2)), (7, 7 * (2 + 1))])
def test_replicas_are_asked_for_little_more_than_they_compute(orchestrators: int, most: int) -> None:
    """At four times the load that they bear. Of 20 places each of several has its part and its root, rounded down."""
    crowded = replace(deployment(2), orchestrators=orchestrators)
    seen: list[int] = []

    class Watching(Fleet):
        async def answer(self, call: Call) -> Reply:
            lives = [each.orchestrator.live for each in self._orchestrators]
            seen.append(sum(model.admission.in_flight for live in lives for model in live.of_tier("r1")[:1]))
            return await super().answer(call)

    traffic = DEMAND.traffic(4 * study(2).capacity(), 400, generator(1, "traffic"))
    site = Site(crowded, traffic, Engines(), 1)
    virtual_time.run(ask_all(site, Watching(site), Tally("pro", 0.0)))
    assert max(seen) == most


@pytest.mark.parametrize(("count", "part"), [(4, 0.6), (2, 1.2)])
def test_a_cell_is_like_the_whole(count: int, part: float) -> None:
    """Several orchestrators that take turns with as many replicas of each tier, against one of each at its share."""
    rate = part * study(count).capacity()
    whole, cell = (study(count, cells, requests=1400).at(rate) for cells in (1, count))
    for name in ("in_time", "as_planned", "p50_ms", "p99_ms"):
        assert overlap(getattr(whole, name), getattr(cell, name)), name
    assert (cell.as_planned.value > 0.99) == (part < 1.0)


@pytest.mark.parametrize(("part", "seed"), [(0.2, 1), (0.9, 2), (1.3, 3), (2.5, 4)])
def test_no_more_is_answered_than_asked(part: float, seed: int) -> None:
    looked = study(requests=200, seed=seed)
    point = looked.at(part * looked.capacity())
    assert point.goodput_as_planned <= point.goodput <= point.per_second
    for estimate in (point.in_time, point.as_planned, point.p50_ms, point.p99_ms):
        assert estimate.low <= estimate.value <= estimate.high
    assert point.p99_ms.value <= 1000.0 * DEMAND.deadline + 1e-6
    assert point.counted >= 160


def test_the_same_seed_gives_the_same_figures() -> None:
    rate = study().capacity()
    assert study().at(rate) == study().at(rate)
    assert study().at(rate) != study(seed=2).at(rate)


def test_slower_batches_bear_less() -> None:
    quick, slow = (replace(study(), engines=Engines(full=full)) for full in (1.0, 2.0))
    assert slow.capacity() == pytest.approx(quick.capacity() / 2.0)
    rate = 0.9 * quick.capacity()
    assert quick.at(rate).as_planned.value > slow.at(rate).as_planned.value


def test_a_deployment_is_divided_into_equal_cells() -> None:
    whole = Deployment(deployment().catalogue, deployment().policy, {"r1": 12, "pro": 6}, 18)
    assert whole.cells == 6
    cell = whole.divided(6)
    assert (cell.replicas, cell.orchestrators) == ({"r1": 2, "pro": 1}, 3)
    assert cell.times(6) == whole


def point(per_second: float, low: float) -> Point:
    part, ms = Estimate(low, low, 1.0), Estimate(1.0, 1.0, 1.0)
    return Point(per_second, 100, part, part, ms, ms, 0.0, {})


def test_the_knee_is_the_last_load_before_the_first_that_fails() -> None:
    points = [point(1, 1.0), point(2, 0.995), point(3, 0.98), point(4, 0.999)]
    assert knee(points, 0.99) == (points[1], points[2])
    assert knee(points[:2], 0.99) == (points[1], None)
    assert knee(points[2:], 0.99) == (None, points[2])
    assert knee([], 0.99) == (None, None)
