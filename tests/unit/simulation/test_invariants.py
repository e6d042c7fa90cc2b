"""Would catch what a promise of the orchestrator forgets, in worlds where everything goes wrong at once.

An answer after the deadline, an attempt that outlives it, a plan with more time than there is, two endings or none, a
token that is not booked, a place that is never given back, more and more attempts when all of them fail.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings

from tandem.simulation.contenders import Tandem
from tandem.simulation.episodes import Trouble
from tandem.simulation.fates import Mishaps
from tandem.simulation.run import simulate
from tandem.simulation.world import Scenario, TierTrouble, World
from tests.unit.simulation.worlds import CATALOGUE, POLICY, made, witnessed, worlds

HAIR = 1e-6
"""Seconds and milliseconds by which sums of times may differ."""
FAILING = {
    "dead": TierTrouble(outages=Trouble(0.9999, 1e6)),
    "hanging": TierTrouble(hangs=Trouble(0.9999, 1e6)),
    "breaking off": TierTrouble(),
}


@given(worlds())
@settings(max_examples=60)
def test_every_request_ends_once_and_in_time(world: World) -> None:
    witness = witnessed(world)
    assert len(witness.endings) == len(world.traffic)
    for ending in witness.endings:
        assert (ending.answer is None) != (ending.error is None)
        assert ending.ended <= ending.call.deadline + HAIR
        finished = [event for event in ending.events if event.HasField("finished")]
        assert len(finished) <= 1
        assert not finished or ending.error is None


@given(worlds())
@settings(max_examples=60)
def test_no_part_of_a_plan_or_of_its_attempts_is_longer_than_the_whole(world: World) -> None:
    witness = witnessed(world)
    assert len(witness.ledger.entries) == len(world.traffic)
    for entry in witness.ledger.entries:
        plan = entry.answer.plan
        for planned in plan.attempts:
            assert plan.margin_ms + plan.reserve_ms + planned.allowance_ms <= plan.deadline_ms + HAIR
        for attempt in entry.answer.attempts:
            assert attempt.started_ms + attempt.duration_ms <= entry.deadline_ms - plan.margin_ms + HAIR


@given(worlds())
@settings(max_examples=60)
def test_every_token_is_booked_and_every_place_given_back(world: World) -> None:
    witness = witnessed(world)
    engines = Counter[str]()
    for tier in witness.tiers.values():
        for (request_id, _), tokens in tier._made.items():
            engines[request_id] += tokens
    for entry in witness.ledger.entries:
        assert made(entry) == engines[entry.answer.request_id]
        assert all(attempt.usage_settled for attempt in entry.answer.attempts)
    assert sum(map(made, witness.ledger.entries)) == sum(tier.tokens_made for tier in witness.tiers.values())
    assert [tier.in_flight for tier in witness.tiers.values()] == [0, 0]
    for model in witness.orchestrator.live:
        assert (model.admission.in_flight, model.admission.waiting) == (0, 0)


@pytest.mark.parametrize("how", FAILING)
def test_when_everything_fails_hardly_more_is_tried(how: str) -> None:
    mishaps = Mishaps(stalls=0.0, breaks=float(how == "breaking off"))
    scenario = Scenario("all fails", 1.0, trouble={"r1": FAILING[how], "pro": FAILING[how]}, mishaps=mishaps)
    outcome = simulate(World(CATALOGUE, scenario, 600, seed=3), Tandem(POLICY))
    assert outcome.amplification <= 1.1
    assert (outcome.late, outcome.lost) == (0, 0)


@given(worlds(most=20))
@settings(max_examples=20)
def test_the_same_seed_gives_the_same_outcome(world: World) -> None:
    again = World(CATALOGUE, world.scenario, len(world.traffic), world.seed)
    assert simulate(world, Tandem(POLICY)) == simulate(again, Tandem(POLICY))


def test_another_seed_gives_another_outcome() -> None:
    first, second = (World(CATALOGUE, Scenario("healthy", 1.0), 50, seed) for seed in (1, 2))
    assert simulate(first, Tandem(POLICY)) != simulate(second, Tandem(POLICY))
