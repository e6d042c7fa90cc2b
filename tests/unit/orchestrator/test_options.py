"""Would catch an automatic choice that ignores prices, entitlements, sick models or the deadline."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.errors import BackendUnavailable
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call, question
from tests.fakes.services import signals
from tests.fakes.world import World, reasons

ROUTE, CASCADE, ENSEMBLE = (
    types_pb2.STRATEGY_ROUTE,
    types_pb2.STRATEGY_CASCADE,
    types_pb2.STRATEGY_ENSEMBLE,
)
MUCH: Any = {"value__usd_per_right_answer": 10.0}
LITTLE: Any = {"value__usd_per_right_answer": 0.00001}

pytestmark = pytest.mark.virtual_time


def found(suffices: float, gain: float) -> types_pb2.Signals:
    made = signals(suffices)
    made.expected_gain.value, made.context_tokens = gain, 100
    return made


def world(suffices: float = 0.6, gain: float = 0.3, **changes: Any) -> World:
    made = World(strategy="auto", **{"sampling__max_tokens": 100, **changes})
    made.classifier.found = found(suffices, gain)
    return made


async def explained(made: World, seconds: float = 30, tenant: str = "anonymous") -> Any:
    return await made.orchestrator.explain(question(), call(seconds, tenant=tenant))


async def test_explain_has_the_numbers_of_every_option() -> None:
    told = await explained(world(value__usd_per_right_answer=0.001))
    cheap, strong, cascade, ensemble = told.options
    assert [option.strategy for option in told.options] == [ROUTE, ROUTE, CASCADE, ENSEMBLE]
    assert [[t.tier for t in option.targets] for option in told.options] == [
        ["r1"],
        ["pro"],
        ["r1", "pro"],
        ["r1", "pro"],
    ]
    # 100 tokens in and 100 out: 100 × 100 + 100 × 300 and ten times as much; a refined draft is 100 tokens more.
    assert (cheap.cost_nano_usd, strong.cost_nano_usd) == (40_000, 400_000)
    assert ensemble.cost_nano_usd == 440_000
    # 0.4 × 0.7 + 0.6 × 0.2 = 0.4 is sent on, to 100 × 1000 more
    assert cascade.cost_nano_usd == 40_000 + round(0.4 * 500_000)
    assert cheap.expected_correctness == pytest.approx(0.6)
    assert strong.expected_correctness == pytest.approx(0.9)
    assert cascade.expected_correctness == pytest.approx(0.6 + 0.7 * 0.3)
    assert cheap.duration_ms == pytest.approx(100 + 100 * 10)
    assert cascade.longest_ms == pytest.approx(1100 + 200 + 100 * 20)
    assert strong.value_nano_usd == pytest.approx(900_000 - 400_000, abs=1)
    assert cheap.value_nano_usd == pytest.approx(600_000 - 40_000, abs=1)
    assert [option.best for option in told.options] == [False, False, True, False]
    assert all(option.fits for option in told.options)


@pytest.mark.parametrize(
    ("changes", "suffices", "gain", "strategy", "tiers"),
    [
        (LITTLE, 0.6, 0.3, ROUTE, ["r1"]),
        (MUCH, 0.6, 0.3, ROUTE, ["pro"]),
        ({**MUCH, "value__gate_finds": 1.0}, 0.6, 0.3, CASCADE, ["r1", "pro"]),
        (
            {**MUCH, "value__independence": 1.0},
            0.8,
            0.0,
            ROUTE,
            ["r1"],
        ),  # two equal voices are no better than one
        (MUCH, 0.9, -0.2, ROUTE, ["r1"]),
    ],
)
async def test_what_is_worth_most_is_done(
    changes: dict[str, Any], suffices: float, gain: float, strategy: int, tiers: list[str]
) -> None:
    answer = await world(suffices, gain, **changes).ask(seconds=30)
    assert answer.plan.strategy == strategy
    assert [planned.target.tier for planned in answer.plan.attempts] == tiers
    assert answer.plan.reasons[0].startswith("auto: ")
    assert answer.plan.chosen_by == types_pb2.CHOSEN_BY_WORTH


async def test_three_voices_that_err_apart() -> None:
    made = world(0.8, 0.0, **MUCH, value__independence=1.0, ensemble__targets=["r1", "r1/int8", "pro"])
    answer = await made.ask(seconds=30)
    assert answer.plan.strategy == ENSEMBLE
    assert len(answer.attempts) == 3


async def test_a_domain_is_worth_more() -> None:
    # Science, as the signals say.
    plain = await world(**LITTLE).ask(seconds=30)
    dear = await world(**LITTLE, value__domains={"science": 10.0}).ask(seconds=30)
    assert (plain.answered_by.tier, dear.answered_by.tier) == ("r1", "pro")


async def test_waiting_has_a_price() -> None:
    # Pro takes 1100 ms longer; it gains 0.3 × $0.01, and costs $0.00036 more.
    patient = world(value__usd_per_second=0.0, value__gate_finds=0.0)
    hurried = world(value__usd_per_second=0.01, value__gate_finds=0.0)
    assert (await patient.ask(seconds=30)).answered_by.tier == "pro"
    assert (await hurried.ask(seconds=30)).answered_by.tier == "r1"


async def test_what_does_not_fit_is_not_done() -> None:
    # Pro surely needs 200 + 100 × 20 ms, r1 100 + 100 × 10.
    told = await explained(world(**MUCH), seconds=1.5)
    assert [option.fits for option in told.options] == [True, False, False, False]
    assert told.plan.attempts[0].target.tier == "r1"
    none = await explained(world(**MUCH), seconds=0.5)
    assert [option.best for option in none.options] == [True, False, False, False]
    assert "none surely fits" in none.plan.reasons[0]


async def test_a_sick_model_is_in_no_option() -> None:
    made = world(**MUCH, breaker={"failures": 1, "pause_ms": 60_000.0, "longest_pause_ms": 60_000.0})
    made.pro.__init__([BackendUnavailable("dead")])  # type: ignore[misc]  # a new script
    await made.ask(seconds=30)
    told = await explained(made)
    assert [[t.tier for t in option.targets] for option in told.options] == [["r1"]]


@pytest.mark.parametrize(("suffices", "reason"), [(0.9, []), (0.1, ["NOT_ENTITLED"])])
async def test_a_tenant_of_one_tier_is_routed(suffices: float, reason: list[str]) -> None:
    made = world(suffices)
    answer = await made.ask(tenant="cheap", seconds=30)
    assert (answer.plan.strategy, answer.answered_by.tier, reasons(answer)) == (ROUTE, "r1", reason)
    assert list((await explained(made, tenant="cheap")).options) == []


async def test_without_signals_there_is_no_choice() -> None:
    made = world()
    made.classifier.failure = BackendUnavailable("gone")
    answer = await made.ask(seconds=30)
    assert (answer.plan.strategy, answer.answered_by.tier) == (ROUTE, "r1")
    assert list((await explained(made)).options) == []


async def test_a_client_may_ask_for_the_best() -> None:
    made = World(**LITTLE)
    asked = orchestrator_pb2.GenerateRequest(messages=question().messages, strategy=types_pb2.STRATEGY_AUTO)
    answer = await made.ask(asked, seconds=30)
    assert answer.plan.reasons[0].startswith("auto: route (r1)")


async def test_a_tier_that_is_named_leaves_no_choice() -> None:
    asked = question()
    asked.tier = "pro"
    told = await world().orchestrator.explain(asked, call(30))
    assert list(told.options) == []
    assert told.plan.attempts[0].target.tier == "pro"


async def test_other_strategies_show_the_numbers_too() -> None:
    made = World()
    made.classifier.found = found(0.6, 0.3)
    told = await explained(made)
    assert len(told.options) == 4
    assert told.plan.strategy == ROUTE
