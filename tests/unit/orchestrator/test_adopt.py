"""Would catch a new policy or catalogue that touches requests under way, or that costs what was learned.

Expected numbers follow from the small catalogue and policy of `tests/fakes/documents.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.orchestrator.bucket import MINUTE_NS, Bucket
from tandem.orchestrator.limit import ConcurrencyLimit
from tandem.orchestrator.share import GAIN, ShareController
from tandem.v1 import types_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import ScriptedInference, finished, saying, text
from tests.fakes.world import World

pytestmark = pytest.mark.virtual_time

R1 = types_pb2.Target(tier="r1", variant="fp16")
DEARER = {"tiers.r1.price": {"input_usd_per_million_tokens": 1000, "output_usd_per_million_tokens": 1000}}
TARGET = {"routing.target": {"share": 0.3}}


def adopt(
    world: World,
    catalogue_changes: dict[str, Any] | None = None,
    policy_changes: dict[str, Any] | None = None,
) -> None:
    world.orchestrator.adopt(catalogue(catalogue_changes), policy(policy_changes))


async def revision_of(world: World) -> str:
    explained = await world.orchestrator.explain(question(), call())
    return explained.plan.policy_revision


# --- requests under way


async def test_a_request_ends_under_the_policy_and_the_prices_it_began_with() -> None:
    gate = asyncio.Event()
    world = World(r1=ScriptedInference([text("be"), gate, text("cause"), finished(2)], saying("later")))
    old = await revision_of(world)
    running = asyncio.create_task(world.ask())
    await world.r1.started.wait()
    adopt(world, DEARER, {"deadline.margin_ms": 33})
    new = await revision_of(world)
    gate.set()
    first = await running
    second = await world.ask(question("and then?"))
    assert first.text == "because"
    assert old != new
    assert (first.plan.policy_revision, second.plan.policy_revision) == (old, new)
    assert (first.plan.margin_ms, second.plan.margin_ms) == (10, 33)
    assert first.cost_nano_usd == 5 * 100 + 2 * 300
    assert second.cost_nano_usd == (5 + 1) * 1_000_000


async def test_an_attempt_that_was_cut_off_is_settled_at_the_prices_it_began_with() -> None:
    world = World(r1=ScriptedInference([text("be"), asyncio.Event()]))
    running = asyncio.create_task(world.ask())
    await world.r1.started.wait()
    await asyncio.sleep(0.01)
    adopt(world, DEARER)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    while not world.ledger.entries:
        await asyncio.sleep(0.01)
    (entry,) = world.ledger.entries
    assert entry.answer.attempts[0].usage_settled
    assert entry.answer.cost_nano_usd == 5 * 100 + 1 * 300


async def test_the_variant_of_a_request_under_way_may_go() -> None:
    gate = asyncio.Event()
    world = World(r1=ScriptedInference([text("be"), gate, text("cause"), finished(2)]))
    running = asyncio.create_task(world.ask())
    await world.r1.started.wait()
    int8_only = catalogue().tiers["r1"].variants["int8"].model_dump(mode="json")
    rows = [{"from": "r1", "on": "timeout", "to": ["pro"]}]
    adopt(world, {"tiers.r1.variants": {"int8": int8_only}}, {"fallbacks": rows})
    assert world.orchestrator.live.find(R1) is None
    gate.set()
    answer = await running
    assert (answer.text, answer.answered_by.variant) == ("because", "fp16")
    assert (await world.ask(question("and then?"))).answered_by.variant == "int8"


async def test_answers_of_another_revision_are_not_given_and_those_of_a_policy_that_comes_back_are() -> None:
    world = World(r1=ScriptedInference(saying("old"), saying("new")))
    assert (await world.ask()).text == "old"
    adopt(world, policy_changes={"deadline.margin_ms": 33})
    assert (await world.ask()).text == "new"
    adopt(world)
    assert (await world.ask()).text == "old"


# --- what is known of the models


async def test_what_was_learned_of_a_model_survives() -> None:
    world = World()
    model = world.orchestrator.live.of(R1)
    model.gave_token(100, 900.0, 0.0)
    model.breaker.failed(types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE, model.breaker.enter())
    model.limit.halve()
    adopt(world, DEARER | {"tiers.r1.variants.fp16.latency.ttft_ms": 1}, {"hang.first_token_ms": 1})
    now_known = world.orchestrator.live.of(R1)
    assert now_known is model
    assert now_known.latency.observations == 1
    assert now_known.limit.value == 16
    assert now_known.breaker.cause == types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE


async def test_another_model_under_the_same_name_is_new() -> None:
    world = World()
    world.orchestrator.live.of(R1).gave_token(100, 900.0, 0.0)
    adopt(world, {"tiers.r1.variants.fp16.model": "r1-second", "tiers.r1.variants.fp16.latency.ttft_ms": 7})
    known = world.orchestrator.live.of(R1).latency
    assert (known.observations, known.ttft_ms(0.95, 100)) == (0, 7)


async def test_a_new_expectation_counts_where_nothing_was_seen() -> None:
    world = World()
    adopt(world, {"tiers.r1.variants.fp16.latency.ttft_ms": 7})
    assert world.orchestrator.live.of(R1).latency.ttft_ms(0.95, 100) == 7


async def test_more_places_go_to_those_who_wait() -> None:
    gate = asyncio.Event()
    one = {"tiers.r1.variants.fp16.concurrency": 1}
    world = World(r1=ScriptedInference([gate, *saying("done")]))
    adopt(world, one)
    running = [asyncio.create_task(world.ask(question(f"{n}?"))) for n in range(3)]
    await world.r1.started.wait()
    await asyncio.sleep(0.01)
    assert world.r1.running == 1
    adopt(world, {"tiers.r1.variants.fp16.concurrency": 3})
    await asyncio.sleep(0.01)
    assert world.r1.running == 3
    gate.set()
    assert [answer.text for answer in await asyncio.gather(*running)] == ["done"] * 3


@pytest.mark.parametrize(
    ("halvings", "most", "then"), [(0, 64, 64), (0, 8, 8), (1, 64, 32), (1, 8, 4), (5, 8, 1)], ids=str
)
async def test_a_limit_in_trouble_stays_in_trouble(halvings: int, most: int, then: int) -> None:
    """It is the same part of the new ceiling, at least 1."""
    limit = ConcurrencyLimit(32, 1.0)
    for _ in range(halvings):
        limit.halve()
        await asyncio.sleep(1.0)
    limit.adopt(most, 1.0)
    assert limit.value == then


# --- the share, and budgets


async def test_what_the_strong_tier_is_owed_survives_a_new_target() -> None:
    world = World(routing__target={"share": 0.5})
    for number in range(4):
        await world.ask(question(f"{number}?"))
    before = world.orchestrator.workshop.planner.steering
    adopt(world, policy_changes=TARGET)
    after = world.orchestrator.workshop.planner.steering
    assert before is not None
    assert after is before
    control = types_pb2.ShareControl()
    after.tell(control)
    assert control.target == pytest.approx(0.3)
    assert control.measured_requests == 4


async def test_a_target_between_other_tiers_starts_anew() -> None:
    world = World(routing__target={"share": 0.5})
    await world.ask()
    adopt(world, policy_changes=TARGET | {"routing.cheap": "pro", "routing.strong": "r1"})
    steering = world.orchestrator.workshop.planner.steering
    control = types_pb2.ShareControl()
    assert steering is not None
    steering.tell(control)
    assert control.measured_requests == 0


async def test_a_policy_without_a_target_steers_nothing() -> None:
    world = World(routing__target={"share": 0.5})
    adopt(world)
    assert world.orchestrator.workshop.planner.steering is None
    assert (await world.ask()).text == "because"


scores = st.lists(st.tuples(st.booleans(), st.floats(-1, 1)), max_size=80)


@given(scores, scores, st.floats(0.05, 0.95))
def test_the_same_target_again_changes_no_decision(
    before: list[tuple[bool, float]], after: list[tuple[bool, float]], target: float
) -> None:
    one, other = ShareController(target, 0.5), ShareController(target, 0.5)
    for each in (one, other):
        for strong, key in before:
            each.count(strong=strong, key=key)
    other.adopt(target, 0.5)
    for strong, key in after:
        assert one.choose(key, "id") == other.choose(key, "id")
        assert one.count(strong=strong, key=key) == other.count(strong=strong, key=key)


@given(scores, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_another_target_leaves_the_debt_within_its_bounds(
    before: list[tuple[bool, float]], old: float, new: float
) -> None:
    controller = ShareController(old, 0.5)
    for strong, key in before:
        controller.count(strong=strong, key=key)
    controller.adopt(new, 0.7)
    assert -new / GAIN - 1.0 <= controller.debt <= (1.0 - new) / GAIN + 1.0


async def test_what_is_used_of_the_minute_survives() -> None:
    world = World(budgets={"tenants": {"shop": {"requests_per_minute": 2, "usd_per_day": 1}}})
    await world.ask(tenant="shop")
    adopt(world, policy_changes={"budgets": {"tenants": {"shop": {"requests_per_minute": 2}}}})
    await world.ask(tenant="shop")
    with pytest.raises(Exception, match="requests per minute"):
        await world.ask(tenant="shop")


@given(st.integers(1, 1000), st.integers(1, 1000), st.integers(0, 2000), st.integers(0, MINUTE_NS))
def test_a_bucket_of_another_size_is_as_full_as_before(
    before: int, after: int, taken: int, later_ns: int
) -> None:
    bucket = Bucket(before, 0)
    bucket.take(taken, 0)
    owed = max(0, taken - before)
    bucket.adopt(after, 0)
    bucket.take(0, 0)
    # A debt is paid at the new pace, and what is left is the same part of the whole.
    expected = (
        -(-(owed + 1) * MINUTE_NS // after)
        if owed
        else max(0, -(-(MINUTE_NS - (before - taken) * MINUTE_NS * after // before) // after))
    )
    assert abs(bucket.wait_ns(0) - expected) <= 1
    assert bucket.wait_ns(later_ns + expected + 1) == 0
