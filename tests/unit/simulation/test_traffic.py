"""Would catch traffic that is not what a scenario says: another rate, no bursts, too little trouble."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.simulation.episodes import NEVER, Episodes, Trouble, draw
from tandem.simulation.traffic import BURST, KINDS, PRO_SHARE, Traffic, draw_questions, draw_traffic
from tandem.simulation.world import Scenario, TierTrouble, World
from tests.unit.simulation.worlds import CATALOGUE

MANY = 20_000


def traffic(bursts: Trouble = NEVER, per_second: float = 10.0) -> Traffic:
    random = np.random.default_rng(5)
    return draw_traffic(draw_questions(KINDS, MANY, random), per_second, bursts, random)


@pytest.mark.parametrize("bursts", [NEVER, Trouble(0.2, 5.0)])
def test_requests_come_at_the_rate_that_is_asked_for(bursts: Trouble) -> None:
    drawn = traffic(bursts)
    assert MANY / drawn.seconds == pytest.approx(10.0, rel=0.1)
    assert drawn.arrivals == sorted(drawn.arrivals)


def test_bursts_are_denser() -> None:
    calm, bursts = (np.bincount(np.array(traffic(b).arrivals, int)) for b in (NEVER, Trouble(0.2, 5.0)))
    assert np.quantile(bursts, 0.95) > 1.3 * np.quantile(calm, 0.95)
    assert BURST > 1.0


def test_questions_are_of_the_kinds_they_are_drawn_from() -> None:
    drawn = traffic()
    for kind in KINDS:
        own = [
            n
            for n, deadline in zip(drawn.wanted_tokens, drawn.deadlines, strict=True)
            if deadline == kind.deadline
        ]
        assert len(own) == pytest.approx(kind.share * MANY, rel=0.05)
        assert np.median(own) == pytest.approx(kind.tokens, rel=0.05)
    assert sum(p < 0.5 for p in drawn.r1_suffices) == pytest.approx(PRO_SHARE * MANY, rel=0.05)


def test_trouble_has_its_share_of_the_time() -> None:
    spans = draw(Trouble(0.1, 10.0), 100_000.0, np.random.default_rng(5))
    assert sum(end - start for start, end in spans) == pytest.approx(10_000, rel=0.1)
    assert np.mean([end - start for start, end in spans]) == pytest.approx(10.0, rel=0.1)
    assert draw(NEVER, 100.0, np.random.default_rng(5)) == []


def test_episodes_are_found_where_they_are() -> None:
    episodes = Episodes([(1.0, 2.0), (4.0, 6.0)])
    assert episodes.first(0.0, 0.9) is None
    assert episodes.first(0.5, 1.5) == (1.0, 2.0)
    assert episodes.cover(1.5)
    assert not episodes.cover(2.0)
    assert episodes.first(2.0, 10.0) == (4.0, 6.0)
    assert episodes.first(5.0, 5.5) == (4.0, 6.0)
    assert episodes.first(6.0, 99.0) is None


def test_a_change_of_the_trouble_leaves_the_traffic_as_it_is() -> None:
    hangs = {"pro": TierTrouble(hangs=Trouble(0.5, 5.0))}
    calm, loud = (World(CATALOGUE, Scenario("x", 1.0, trouble=t), 50, 1) for t in ({}, hangs))
    assert calm.traffic == loud.traffic
    assert World(CATALOGUE, Scenario("x", 1.0), 50, 2).traffic != calm.traffic


def test_load_one_fills_the_tighter_tier() -> None:
    drawn = World(CATALOGUE, Scenario("full", 1.0), MANY, 1).traffic
    tokens = float(np.mean(drawn.wanted_tokens))
    ttft = 0.25 + 0.15 * float(np.mean(drawn.prompt_tokens)) / 1000.0
    per_second = 8 / (1.5 * (ttft + tokens * 0.024))
    assert MANY / drawn.seconds == pytest.approx(per_second / PRO_SHARE, rel=0.03)
