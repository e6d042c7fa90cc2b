"""Would catch a target that changes what it should leave alone, or a request that is counted wrongly or twice."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tandem.errors import BackendUnavailable
from tandem.orchestrator.answer import Orchestrator
from tandem.orchestrator.routing_policy import Routing, Target
from tandem.orchestrator.spending import Mean, Spending
from tandem.orchestrator.steering import Steering
from tandem.orchestrator.work import Services
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call, image, question, user
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import ScriptedInference, Step, finished, saying, text
from tests.fakes.orchestrators import orchestrator
from tests.fakes.services import FakeClassifier, FakeFusion, signals

CATALOGUE = catalogue()

pytestmark = pytest.mark.virtual_time


class World:
    """An orchestrator with a target."""

    def __init__(
        self,
        target: dict[str, float] | None,
        r1: list[Step] | None = None,
        pro: list[Step] | None = None,
        **changes: Any,
    ) -> None:
        self.classifier = FakeClassifier()
        self.r1, self.pro = ScriptedInference(r1 or saying("cheap")), ScriptedInference(pro or saying("dear"))
        services = Services(self.classifier, FakeFusion(), {"r1": self.r1, "pro": self.pro})
        changed = {"cache.entries": 0, **{path.replace("__", "."): value for path, value in changes.items()}}
        chosen = policy(changed | ({"routing.target": target} if target else {}))
        self.orchestrator: Orchestrator = orchestrator(services, CATALOGUE, chosen)
        self.asked = 0

    async def ask(self, score: float = 0.9, tenant: str = "anonymous", **fields: Any) -> types_pb2.Answer:
        """Ask something of a score."""
        self.classifier.found, self.asked = signals(score), self.asked + 1
        request = orchestrator_pb2.GenerateRequest(**{"messages": [user()], **fields})
        return await self.orchestrator.generate(request, call(tenant=tenant, request_id=f"r{self.asked}"))

    async def state(self, score: float = 0.9, **fields: Any) -> types_pb2.ShareControl:
        """Return what Explain says of a request."""
        return (await self.explain(score, **fields)).share_control

    async def explain(self, score: float = 0.9, **fields: Any) -> types_pb2.Plan:
        """Return the plan of a request that is not asked."""
        self.classifier.found = signals(score)
        request = orchestrator_pb2.GenerateRequest(**{"messages": [user()], **fields})
        return (await self.orchestrator.explain(request, call(request_id="explained"))).plan


# --- what Explain and the answer say


async def test_explain_says_what_the_control_did() -> None:
    world, chance = World({"share": 0.3}), random.Random(1)
    answers = [await world.ask(0.8 + 0.2 * chance.random()) for _ in range(400)]
    plan = await world.explain(0.81)
    control = plan.share_control
    assert control.target == pytest.approx(0.3)
    assert (control.measured_requests, control.out_of_reach) == (400, False)
    assert control.measured == pytest.approx(sum(a.answered_by.tier == "pro" for a in answers) / 400)
    assert control.measured == pytest.approx(0.3, abs=0.05)
    assert control.configured_threshold == pytest.approx(0.7)
    assert 0.8 < control.threshold < 0.95
    assert plan.attempts[0].target.tier == "pro"
    told = (
        f"pro was asked for {control.measured:.1%} of the last 400 requests; "
        f"the target 30.0% moved the threshold from 0.70 to {control.threshold:.2f}"
    )
    assert plan.reasons[:2] == [
        f"r1 suffices: 0.81 < threshold {control.threshold:.2f}",
        told,
    ]
    assert answers[-1].plan.share_control.measured_requests == 399  # as it was when it was planned


async def test_explaining_counts_nothing() -> None:
    world = World({"share": 0.3})
    await world.ask()
    before = await world.state()
    assert await world.state() == before
    assert before.measured_requests == 1


async def test_without_a_target_nothing_changes() -> None:
    world = World(None)
    for score, tier in ((0.69, "pro"), (0.7, "r1")):
        plan = (await world.ask(score)).plan
        assert plan.attempts[0].target.tier == tier
        assert not plan.HasField("share_control")
        assert len(plan.reasons) == 1


async def test_every_slice_is_moved_by_as_much() -> None:
    rows = [{"domain": "science", "threshold": 0.4}]
    world, chance = World({"share": 0.3}, routing__thresholds=rows), random.Random(1)
    for _ in range(400):
        await world.ask(0.8 + 0.2 * chance.random())
    science = await world.state()
    world.classifier.found.domain.Clear()
    general = (await world.orchestrator.explain(question(), call())).plan.share_control
    assert science.configured_threshold == pytest.approx(0.4)
    assert general.configured_threshold == pytest.approx(0.7)
    assert general.threshold == pytest.approx(min(1.0, science.threshold + 0.3))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9, 1.0])
@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
async def test_a_threshold_stays_a_probability(share: float, threshold: float) -> None:
    rows = [{"domain": "science", "threshold": threshold}]
    world = World({"share": share}, routing__threshold=1.0 - threshold, routing__thresholds=rows)
    for number in range(40):
        control = (await world.ask(number % 2)).plan.share_control
        assert 0.0 <= control.threshold <= 1.0
        assert control.configured_threshold == pytest.approx(threshold)


# --- what counts


@pytest.mark.parametrize(
    ("fields", "tenant", "measured"),
    [
        ({"tier": "pro"}, "anonymous", 1.0),
        ({"tier": "r1"}, "anonymous", 0.0),
        ({}, "cheap", 0.0),
        ({}, "strong", 1.0),
        ({"strategy": types_pb2.STRATEGY_ENSEMBLE}, "anonymous", 1.0),
        ({"messages": [user(), image()]}, "anonymous", 1.0),
    ],
)
async def test_forced_routes_count(fields: dict[str, Any], tenant: str, measured: float) -> None:
    world = World({"share": 0.3})
    answer = await world.ask(0.9, tenant, **fields)
    assert not answer.degradations or tenant != "anonymous"
    state = await world.state()
    assert (state.measured, state.measured_requests) == (measured, 1)


async def test_no_threshold_is_told_where_no_score_decides() -> None:
    state = await World({"share": 0.3}).state(tier="pro")
    assert not state.HasField("threshold")
    assert state.target == pytest.approx(0.3)


async def test_forced_routes_are_made_up_for() -> None:
    """A tenth must go to the strong tier: of the others about two ninths do."""
    world, chance, strong = World({"share": 0.3}), random.Random(1), []
    for number in range(1500):
        forced = {"tier": "pro"} if number % 10 == 0 else {}
        strong.append((await world.ask(chance.random(), **forced)).answered_by.tier == "pro")
    assert sum(strong) / len(strong) == pytest.approx(0.3, abs=0.01)


async def test_a_fallback_to_the_strong_tier_counts() -> None:
    world = World({"share": 0.0}, r1=[BackendUnavailable("dead")])
    assert (await world.ask()).answered_by.tier == "pro"
    assert (await world.state()).measured == 1.0


async def test_a_strong_tier_that_fails_was_asked() -> None:
    world = World({"share": 1.0}, pro=[BackendUnavailable("dead")])
    assert (await world.ask(0.0)).answered_by.tier == "r1"
    assert (await world.state()).measured == 1.0


async def test_nothing_is_owed_to_a_sick_strong_tier() -> None:
    """While its breaker is open the cheap tier answers; afterwards the strong one does not get all requests."""
    world, chance = World({"share": 0.3}, pro=[BackendUnavailable("dead")]), random.Random(1)
    for _ in range(600):
        await world.ask(chance.random())
    state = await world.state()
    assert state.measured < 0.1
    assert not state.out_of_reach
    assert state.threshold < 0.6  # not pushed up to send it what it missed


async def test_an_answer_from_the_cache_does_not_count() -> None:
    world = World({"share": 0.3}, cache__entries=10)
    answers = [await world.ask() for _ in range(3)]
    assert answers[-1].cache == types_pb2.CACHE_OUTCOME_HIT
    assert (await world.state()).measured_requests == 1


# --- money


async def test_money_is_held() -> None:
    """A cheap answer costs 800 and a dear one 8,000 nano-dollars; 2,960 are reached at a share of 0.3."""
    world, chance = World({"usd_per_1k": 0.00296}), random.Random(1)
    costs = [(await world.ask(chance.random())).cost_nano_usd for _ in range(2000)]
    assert set(costs) == {800, 8000}
    state = await world.state()
    assert sum(costs[500:]) / 1500 == pytest.approx(2960, rel=0.03)
    assert state.target == pytest.approx(0.3, abs=0.01)
    assert (state.target_nano_usd, state.measured_nano_usd) == (2960, round(sum(costs) / 2000))
    assert not state.out_of_reach


@pytest.mark.parametrize(("usd_per_1k", "tier"), [(0.0001, "r1"), (1.0, "pro")])
async def test_money_out_of_reach(usd_per_1k: float, tier: str) -> None:
    world = World({"usd_per_1k": usd_per_1k})
    answers = [await world.ask(number % 10 / 10) for number in range(60)]
    assert {answer.answered_by.tier for answer in answers[30:]} == {tier}
    assert (await world.state()).out_of_reach


async def test_longer_answers_of_the_strong_tier_leave_room_for_fewer() -> None:
    longer: list[Step] = [text("dear", tokens=10), finished(10, input_tokens=5)]
    world, chance = World({"usd_per_1k": 0.00296}, pro=longer), random.Random(1)
    costs = [(await world.ask(chance.random())).cost_nano_usd for _ in range(2000)]
    assert max(costs) == 35_000
    assert sum(costs[500:]) / 1500 == pytest.approx(2960, rel=0.05)
    assert (await world.state()).target == pytest.approx(2160 / 34_200, abs=0.01)


def test_money_is_held_while_answers_become_longer() -> None:
    """Three times as long at the end as at the beginning: the means lag behind, the trim does not let them."""
    routing = Routing(cheap="r1", strong="pro", undecided="r1")
    steering = Steering(routing, Target.model_validate({"usd_per_1k": 0.2}), CATALOGUE)
    chance, costs = random.Random(1), []
    for number in range(8000):
        choice = steering.choose(chance.random(), 0.5, str(number))
        counted = steering.count(strong=choice.strong, choice=choice, sick=False)
        tokens = round(100 * (1 + number / 4000))
        costs.append(tokens * (3000 if choice.strong else 300))
        usage = types_pb2.Usage(output_tokens=tokens)
        target = types_pb2.Target(tier="pro" if choice.strong else "r1")
        steering.ended(counted, [types_pb2.Attempt(target=target, usage=usage, cost_nano_usd=costs[-1])])
    for start in range(2000, 8000, 2000):
        assert sum(costs[start : start + 2000]) / 2000 == pytest.approx(200_000, rel=0.03)
    control = types_pb2.ShareControl()
    steering.tell(control)
    assert not control.out_of_reach


def test_a_mean_is_exact_at_first_and_then_forgets() -> None:
    mean = Mean()
    for value in (1, 2, 6):
        mean.learn(value)
    assert mean.value == pytest.approx(3)
    for _ in range(5000):
        mean.learn(10)
    assert mean.value == pytest.approx(10, rel=0.01)


def test_tiers_that_cost_the_same_are_a_matter_of_all_or_nothing() -> None:
    routing = Routing(cheap="r1", strong="r1", undecided="r1")
    assert [Spending(routing, CATALOGUE, nano_usd).share for nano_usd in (10**9, 1)] == [1.0, 0.0]
    assert Spending(routing, CATALOGUE, 1).measured_nano_usd is None


def test_before_anything_is_known_the_catalogues_prices_count() -> None:
    """256 tokens of prompt and 128 of answer: 64,000 nano-dollars by r1, 640,000 by pro."""
    routing = Routing(cheap="r1", strong="pro", undecided="r1")
    steering = Steering(routing, Target.model_validate({"usd_per_1k": 0.352}), CATALOGUE)
    control = types_pb2.ShareControl()
    steering.tell(control)
    assert control.target == pytest.approx(0.5)
