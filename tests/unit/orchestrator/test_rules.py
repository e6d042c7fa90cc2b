"""Would catch a rule that holds where it should not or is missed without signals, or a review nobody is told of."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import BackendUnavailable
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planned, Planner
from tandem.orchestrator.rules import holds, under
from tandem.orchestrator.rules_policy import Rule, When
from tandem.simulation import virtual_time
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call, question, user
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import finished, text
from tests.fakes.services import signals
from tests.fakes.world import World, as_seen, kinds, reasons

CATALOGUE = catalogue()
PENDING = types_pb2.REVIEW_STATUS_PENDING_HUMAN_REVIEW
ROUTE, CASCADE, ENSEMBLE = (
    types_pb2.STRATEGY_ROUTE,
    types_pb2.STRATEGY_CASCADE,
    types_pb2.STRATEGY_ENSEMBLE,
)
CLINIC = {"name": "triage", "when": {"tenants": ["clinic"]}, "review": "required"}
SCIENCE = {"domains": ["science"]}


def found(**changes: Any) -> types_pb2.Signals:
    """Return signals of a request in which everything was found."""
    made = types_pb2.Signals(
        task=types_pb2.TaskSignal(value=types_pb2.TASK_EXTRACTION, confidence=0.9),
        domain=types_pb2.DomainSignal(value=types_pb2.DOMAIN_LEGAL, confidence=0.9),
        language=types_pb2.LanguageSignal(value="zh", confidence=0.9),
        professional=types_pb2.ProfessionalSignal(value=True, confidence=0.9),
        complexity=types_pb2.ScoreSignal(value=6.5, confidence=0.9),
        context_tokens=4000,
    )
    for name, confidence in changes.items():
        getattr(made, name).confidence = confidence
    return made


def planned(
    rules: list[dict[str, Any]],
    signals_: types_pb2.Signals | None = None,
    request: orchestrator_pb2.GenerateRequest | None = None,
    tenant: str = "anonymous",
    **changes: Any,
) -> Planned:
    """Plan by the small policy with these rules."""

    async def make() -> Planned:
        changed = policy({"rules": rules} | {path.replace("__", "."): each for path, each in changes.items()})
        planner = Planner(CATALOGUE, changed, LiveModels(CATALOGUE, changed))
        return planner.plan(request or question(), signals_, call(20, tenant=tenant))

    return virtual_time.run(make())


# --- when a rule holds


@pytest.mark.parametrize(
    "when",
    [
        {},
        {"tenants": ["a", "b"]},
        {"domains": ["medical", "legal"]},
        {"tasks": ["extraction"]},
        {"languages": ["en", "zh"]},
        {"professional": True},
        {"complexity_from": 6.5},
        {"complexity_below": 7},
        {"complexity_from": 6, "complexity_below": 7},
        {"context_tokens_from": 4000},
        {"tenants": ["a"], "domains": ["legal"], "tasks": ["extraction"], "languages": ["zh"]},
    ],
)
def test_all_that_is_named_holds(when: dict[str, Any]) -> None:
    assert holds(When.model_validate_json(json.dumps(when)), found(), "a")


@pytest.mark.parametrize(
    "when",
    [
        {"tenants": ["b"]},
        {"domains": ["medical"]},
        {"tasks": ["code"]},
        {"languages": ["en"]},
        {"professional": False},
        {"complexity_from": 6.6},
        {"complexity_below": 6.5},
        {"context_tokens_from": 4001},
        {"tenants": ["a"], "domains": ["medical"]},
    ],
)
def test_one_thing_that_does_not_hold_is_enough(when: dict[str, Any]) -> None:
    assert not holds(When.model_validate_json(json.dumps(when)), found(), "a")


@pytest.mark.parametrize(
    ("signal", "when"),
    [
        ("domain", {"domains": ["legal"]}),
        ("task", {"tasks": ["extraction"]}),
        ("language", {"languages": ["zh"]}),
        ("professional", {"professional": True}),
    ],
)
def test_what_is_undecided_does_not_hold(signal: str, when: dict[str, Any]) -> None:
    condition = When.model_validate_json(json.dumps(when))
    assert holds(condition, found(**{signal: 0.5}), "a")
    assert not holds(condition, found(**{signal: 0.49}), "a")


@pytest.mark.parametrize(
    "when",
    [
        *({key: [word]} for key, word in (("domains", "general"), ("tasks", "chat"), ("languages", "en"))),
        {"professional": False},
        {"complexity_from": 0},
        {"complexity_below": 10},
        {"context_tokens_from": 1},
    ],
)
def test_without_signals_only_the_tenant_is_known(when: dict[str, Any]) -> None:
    assert not holds(When.model_validate_json(json.dumps(when)), None, "a")
    assert holds(When.model_validate_json(json.dumps({"tenants": ["a"]})), None, "a")


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0, 10, width=32))
def test_a_range_is_its_two_ends(low: float, high: float, complexity: float) -> None:
    signals_ = types_pb2.Signals(complexity=types_pb2.ScoreSignal(value=complexity))
    both = When(complexity_from=low, complexity_below=high)
    assert holds(both, signals_, "a") == (low <= complexity < high)


# --- the policy under a rule


def test_a_rule_changes_what_it_names_and_nothing_else() -> None:
    plain = policy()
    assert under(plain, _rule(name="nothing")) == plain
    ruled = under(
        plain,
        _rule(
            name="all",
            strategy="ensemble",
            voices=["r1", "r1/int8"],
            sampling={"max_tokens": 9, "temperature": 0.0, "top_p": 0.5, "top_k": 3},
            cascade={"threshold": 1.0, "refine": False},
        ),
    )
    assert (ruled.strategy, ruled.ensemble.targets) == ("ensemble", ("r1", "r1/int8"))
    sampling = ruled.sampling
    assert (sampling.max_tokens, sampling.top_p) == (9, 0.5)
    assert set(sampling.temperature.model_dump().values()) == {0.0}
    assert set(sampling.top_k.model_dump().values()) == {3}
    assert (ruled.cascade.threshold, ruled.cascade.refine) == (1.0, False)
    assert ruled.cascade.gate == plain.cascade.gate
    assert (ruled.routing, ruled.fallbacks, ruled.ensemble.fuse_ms) == (
        plain.routing,
        plain.fallbacks,
        plain.ensemble.fuse_ms,
    )


# --- plans


def test_the_first_rule_that_holds_is_the_one() -> None:
    rules = [
        {"name": "other", "when": {"domains": ["legal"]}, "strategy": "cascade"},
        {"name": "first", "when": SCIENCE, "strategy": "ensemble"},
        {"name": "second", "when": SCIENCE, "strategy": "cascade"},
    ]
    plan = planned(rules, signals()).plan
    assert (plan.rule, plan.strategy, plan.review_required) == ("first", ENSEMBLE, False)
    assert plan.reasons[0] == "rule first"
    assert plan.chosen_by == types_pb2.CHOSEN_BY_STRATEGY


def test_a_request_without_a_rule_is_planned_as_if_there_were_none() -> None:
    rules = [{"name": "other", "when": {"domains": ["legal"]}, "tier": "pro"}]
    made, plain = planned(rules, signals()), planned([], signals())
    made.plan.policy_revision = plain.plan.policy_revision
    for each in (made.plan, plain.plan):
        each.deadline_ms = 0
    assert made.plan == plain.plan


@pytest.mark.parametrize("name", ["pro", "r1/int8"])
def test_a_rule_may_say_who_answers(name: str) -> None:
    plan = planned([{"name": "all", "tier": name}], signals(0.99)).plan
    tier, _, variant = name.partition("/")
    assert plan.attempts[0].target == types_pb2.Target(tier=tier, variant=variant or "bf16")
    assert (plan.chosen_by, plan.HasField("threshold")) == (types_pb2.CHOSEN_BY_RULE, False)
    # Who stands in when it fails is what it always is.
    assert {row.from_tier for row in plan.fallbacks} == {"r1", "pro"}


def test_who_may_not_use_the_tier_of_a_rule_gets_another_and_is_told() -> None:
    made = planned([{"name": "all", "tier": "pro"}], signals(), tenant="cheap")
    assert made.plan.attempts[0].target.tier == "r1"
    assert [each.reason for each in made.degradations] == [types_pb2.DEGRADATION_REASON_NOT_ENTITLED]


def test_what_the_client_asks_for_counts_but_a_review_stays() -> None:
    rules = [{**CLINIC, "strategy": "ensemble", "sampling": {"temperature": 0.1, "max_tokens": 7}}]
    request = question()
    request.strategy, request.sampling.temperature = CASCADE, 0.9
    plan = planned(rules, signals(), request, "clinic").plan
    assert (plan.strategy, plan.review_required) == (CASCADE, True)
    sampling = plan.attempts[0].sampling
    assert sampling.temperature == pytest.approx(0.9)
    assert sampling.max_tokens == 7
    request.tier = "r1"
    assert planned(rules, signals(), request, "clinic").plan.review_required


def test_a_cascade_under_a_rule_has_its_gate_and_samples() -> None:
    cascade = {"threshold": 0.9, "samples": 2, "refine": False}
    plan = planned([{"name": "all", "strategy": "cascade", "cascade": cascade}], signals()).plan
    assert plan.gate.threshold == pytest.approx(0.9)
    assert not plan.gate.refine
    assert [attempt.target.tier for attempt in plan.attempts] == ["r1", "r1", "r1", "pro"]


def test_auto_under_a_rule_expects_the_length_of_the_rule() -> None:
    rules = [{"name": "short", "when": SCIENCE, "strategy": "auto", "sampling": {"max_tokens": 1}}]

    async def costs(rules: list[dict[str, Any]]) -> list[int]:
        changed = policy({"rules": rules})
        planner = Planner(CATALOGUE, changed, LiveModels(CATALOGUE, changed))
        return [o.cost_nano_usd for o in planner.options(question(), signals(), call(20))]

    short, long = virtual_time.run(costs(rules)), virtual_time.run(costs([]))
    assert len(short) == len(long) > 0
    assert all(a < b for a, b in zip(short, long, strict=True))


@given(st.sampled_from(["clinic", "anonymous"]), st.booleans(), st.sampled_from(["", "r1", "pro"]))
def test_no_request_of_a_tenant_with_a_review_goes_without(tenant: str, known: bool, tier: str) -> None:
    request = question()
    request.tier = tier
    plan = planned([CLINIC], signals() if known else None, request, tenant).plan
    assert plan.review_required == (tenant == "clinic")


def test_an_instruction_is_part_of_the_prompt() -> None:
    long = planned([{"name": "all", "instruction": "Mind the law. " * 20}], signals())
    assert long.prompt_tokens == planned([], signals()).prompt_tokens + 280 // 4


# --- answers


@pytest.mark.virtual_time
async def test_an_answer_that_needs_a_review_says_so_and_so_does_the_ledger() -> None:
    world = World(rules=[CLINIC])
    answer = await world.ask(tenant="clinic")
    assert answer.text == "because"
    assert (len(answer.review.id), answer.review.status) == (32, PENDING)
    (entry,) = world.ledger.entries
    assert entry.answer.review == answer.review
    assert not (await world.ask()).HasField("review")


@pytest.mark.virtual_time
async def test_every_answer_to_review_is_a_case_of_its_own() -> None:
    world = World(rules=[CLINIC], sampling__temperature__factual=0.0)
    first, second = await world.ask(tenant="clinic"), await world.ask(tenant="clinic")
    assert first.cache == second.cache == types_pb2.CACHE_OUTCOME_MISS
    assert first.review.id != second.review.id
    # The same request of somebody else is kept.
    await world.ask()
    assert (await world.ask()).cache == types_pb2.CACHE_OUTCOME_HIT


@pytest.mark.virtual_time
async def test_identical_requests_in_flight_share_the_case_with_the_answer() -> None:
    world = World(rules=[CLINIC])
    first, second = await asyncio.gather(world.ask(tenant="clinic"), world.ask(tenant="clinic"))
    assert len(world.r1.requests) == 1
    assert first.review.id == second.review.id


@pytest.mark.virtual_time
async def test_a_classifier_that_is_late_misses_no_review() -> None:
    world = World(rules=[CLINIC])
    world.classifier.hangs = True
    answer = await world.ask(tenant="clinic")
    assert reasons(answer) == ["CLASSIFIER"]
    assert answer.review.status == PENDING


@pytest.mark.virtual_time
async def test_a_stream_ends_with_the_review() -> None:
    world = World(rules=[{**CLINIC, "when": {}}])
    events = await world.events()
    assert (kinds(events)[-1], as_seen(events)) == ("finished", "because")
    assert events[0].started.plan.review_required
    assert events[-1].finished.answer.review.status == PENDING


@pytest.mark.virtual_time
@pytest.mark.parametrize("strategy", ["route", "cascade", "ensemble"])
async def test_every_model_gets_the_instruction_of_a_rule(strategy: str) -> None:
    told = "Write for a lawyer."
    world = World(
        [text("B?"), finished(1, confidence=0.01)],
        rules=[{"name": "all", "strategy": strategy, "instruction": told}],
    )
    asked = orchestrator_pb2.GenerateRequest(messages=[user("why?")])
    await world.ask(asked)
    requests = [*world.r1.requests, *world.pro.requests]
    assert len(requests) == (1 if strategy == "route" else 2)
    for request in requests:
        system, question_ = request.messages
        assert (system.role, system.parts[0].text) == (types_pb2.ROLE_SYSTEM, told)
        assert question_.parts[0].text == "why?"
    assert len(asked.messages) == 1


@pytest.mark.virtual_time
async def test_the_review_survives_a_fallback() -> None:
    rule = {**CLINIC, "when": {}, "strategy": "cascade", "cascade": {"threshold": 1.0}}
    world = World(pro=[BackendUnavailable("gone")], rules=[rule])
    answer = await world.ask()
    assert answer.review.status == PENDING
    assert (answer.text, reasons(answer)) == ("because", ["UNAVAILABLE"])


def _rule(**fields: Any) -> Rule:
    return Rule.model_validate_json(json.dumps(fields))
