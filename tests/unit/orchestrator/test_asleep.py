"""Would catch a promise that a sleeping model cannot keep, time kept for one in vain, and a speed learned from waking.

In the small catalogue r1/int8 needs 50 ms to a first token and 5 ms for each; asleep, 4 seconds come on top.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tandem.errors import OutOfMemory
from tandem.orchestrator.health import tier_check
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.work import Services
from tandem.v1 import inference_pb2, types_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import ScriptedInference, saying
from tests.fakes.orchestrators import orchestrator
from tests.fakes.services import FakeClassifier, FakeFusion, signals
from tests.fakes.world import reasons

pytestmark = pytest.mark.virtual_time

INT8 = types_pb2.Target(tier="r1", variant="int8")
ON_DEMAND = {"tiers.r1.variants.int8.load": "on-demand", "tiers.r1.variants.int8.load_ms": 4000}
SLEEPY = catalogue(ON_DEMAND)
TO_INT8_OR_PRO = {
    "fallbacks": [
        {"from": "r1", "on": "out_of_memory", "to": ["r1/int8", "pro"]},
        {"from": "r1", "on": "timeout", "to": ["r1/int8"]},
    ]
}


def capabilities(*, asleep: bool, ready: bool = False) -> inference_pb2.GetCapabilitiesResponse:
    int8 = inference_pb2.Capability(variant="int8", model="r1-int8", asleep=asleep, ready=ready)
    fp16 = inference_pb2.Capability(variant="fp16", model="r1", problem="it is away")
    return inference_pb2.GetCapabilitiesResponse(tier="r1", variants=[fp16, int8])


class Sleepy:
    """An orchestrator whose r1 runs out of memory and whose r1/int8 sleeps."""

    def __init__(self, wakes_after: float = 0.0) -> None:
        self.gate = asyncio.Event()
        self.r1 = ScriptedInference([OutOfMemory("full")], [self.gate, *saying("awake")], saying("awake"))
        self.pro = ScriptedInference(saying("therefore"))
        tiers = {"r1": self.r1, "pro": self.pro}
        services = Services(FakeClassifier(), FakeFusion(), tiers)
        self.orchestrator = orchestrator(services, SLEEPY, policy(TO_INT8_OR_PRO))
        self.wakes_after = wakes_after

    async def ask(self, seconds: float) -> types_pb2.Answer:
        asyncio.get_running_loop().call_later(self.wakes_after, self.gate.set)
        return await self.orchestrator.generate(question(), call(seconds))


@pytest.mark.parametrize(("seconds", "answers"), [(10.0, "r1/int8"), (5.0, "r1/int8"), (4.0, "pro/bf16")])
async def test_a_fallback_that_cannot_wake_in_time_is_not_promised(seconds: float, answers: str) -> None:
    world = Sleepy(wakes_after=3.9)
    answer = await world.ask(seconds)
    assert f"{answer.answered_by.tier}/{answer.answered_by.variant}" == answers
    assert reasons(answer) == ["OUT_OF_MEMORY"]
    assert answer.duration_ms < seconds * 1000.0


async def test_waking_is_no_hang_and_teaches_no_speed() -> None:
    world = Sleepy(wakes_after=3.9)
    model = world.orchestrator.live.of(INT8)
    assert model.asleep
    await world.ask(10.0)
    assert not model.asleep
    assert model.latency.observations == 0
    assert model.latency.ttft_ms(0.95, 100) == 50
    await world.orchestrator.generate(question("again?"), call(10.0))
    again = await world.orchestrator.generate(
        type(question())(messages=question().messages, tier="r1", variant="int8", no_cache=True), call(10.0)
    )
    assert again.answered_by == INT8
    assert model.latency.observations == 1


def test_no_time_is_kept_for_who_sleeps_while_another_is_awake() -> None:
    rows = [{"from": "r1", "on": "timeout", "to": ["r1/int8", "pro"]}]
    changed = policy({"fallbacks": rows})
    live = LiveModels(SLEEPY, changed)
    planned = Planner(SLEEPY, changed, live).plan(question(), signals(), call(20.0))
    # 200 ms to the first token of pro and 100 tokens at 20 ms each.
    assert planned.plan.reserve_ms == pytest.approx(2200)


@pytest.mark.parametrize(("seconds", "reserve_ms"), [(20.0, 4050 + 100 * 5), (7.0, 0)])
def test_who_sleeps_and_is_alone_gets_time_if_it_can_be_in_time(seconds: float, reserve_ms: float) -> None:
    changed = policy(TO_INT8_OR_PRO)
    planned = Planner(SLEEPY, changed, LiveModels(SLEEPY, changed)).plan(question(), signals(), call(seconds))
    assert planned.plan.reserve_ms == pytest.approx(reserve_ms)


async def test_what_the_service_says_is_known_and_shown() -> None:
    world = Sleepy()
    shown = await world.orchestrator.explain(question(), call())
    assert [each.target.variant for each in shown.models if each.asleep] == ["int8"]
    world.orchestrator.note_capabilities("r1", capabilities(asleep=False, ready=True))
    shown = await world.orchestrator.explain(question(), call())
    assert not [each for each in shown.models if each.asleep]
    world.orchestrator.note_capabilities("r1", capabilities(asleep=True))
    assert world.orchestrator.live.of(INT8).asleep
    world.orchestrator.note_capabilities("r1", capabilities(asleep=False))
    assert world.orchestrator.live.of(INT8).asleep, "neither ready nor asleep: that says nothing"


async def test_a_tier_that_sleeps_is_healthy() -> None:
    told: list[str] = []

    class Asleep(ScriptedInference):
        async def get_capabilities(self, call: Any) -> inference_pb2.GetCapabilitiesResponse:
            return capabilities(asleep=True)

    check = tier_check({"r1": Asleep(saying("x"))}, "s", lambda tier, _: told.append(tier))
    assert await check() == {"": True, "s": True, "r1": True}
    assert told == ["r1"]


async def test_a_new_catalogue_may_wake_it_for_good() -> None:
    world = Sleepy()
    world.orchestrator.adopt(catalogue(), policy(TO_INT8_OR_PRO))
    assert not world.orchestrator.live.of(INT8).asleep
