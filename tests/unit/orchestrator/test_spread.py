"""Would catch: replicas that stay empty, orchestrators that overload what they share, requests that scaling loses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.clock import now
from tandem.orchestrator.admission import Claim
from tandem.orchestrator.live import LiveModel
from tandem.simulation import virtual_time
from tandem.v1 import inference_pb2, types_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import ScriptedInference, saying
from tests.fakes.world import World

pytestmark = pytest.mark.virtual_time

R1 = types_pb2.Target(tier="r1", variant="fp16")


def said(instances: int = 0, sharers: int = 0) -> inference_pb2.GetCapabilitiesResponse:
    """Return what an inference service says of itself, and nothing of its variants."""
    return inference_pb2.GetCapabilitiesResponse(instances=instances, sharers=sharers)


def limits(world: World) -> dict[str, int]:
    """Return the limits of all models by tier and variant."""
    return {f"{each.target.tier}/{each.target.variant}": each.limit.value for each in world.orchestrator.live}


async def test_every_variant_of_the_tier_gets_its_part_and_no_other_tier() -> None:
    world = World()
    before = limits(world)
    world.orchestrator.note_capabilities("r1", said(instances=3, sharers=2))
    assert {most for name, most in before.items() if name.startswith("r1/")} == {32}
    # 32 · 3 ÷ 2, and the root of that.
    assert limits(world) == {
        name: 48 + 6 if name.startswith("r1/") else most for name, most in before.items()
    }


async def test_what_is_not_said_stays() -> None:
    """An older inference service says nothing; one whose Tritons are all away says that there is none."""
    world = World()
    world.orchestrator.note_capabilities("r1", said(instances=4, sharers=2))
    world.orchestrator.note_capabilities("r1", said(sharers=4))
    assert limits(world)["r1/fp16"] == 32 + 5
    world.orchestrator.note_capabilities("r1", said(instances=2))
    assert limits(world)["r1/fp16"] == 16 + 4
    world.orchestrator.note_capabilities("r1", said())
    assert limits(world)["r1/fp16"] == 16 + 4


async def test_a_new_catalogue_is_spread_like_the_old_one() -> None:
    world = World()
    world.orchestrator.note_capabilities("r1", said(instances=3, sharers=2))
    world.orchestrator.adopt(catalogue({"tiers.r1.variants.fp16.concurrency": 10}), policy())
    assert limits(world)["r1/fp16"] == 15 + 3


async def test_a_tier_that_the_catalogue_does_not_have_changes_nothing() -> None:
    world = World()
    world.orchestrator.note_capabilities("r2", said(instances=3))
    assert limits(world) == limits(World())


async def test_explain_tells_the_limit() -> None:
    world = World()
    world.orchestrator.note_capabilities("r1", said(instances=2))
    explained = await world.orchestrator.explain(question(), call())
    (state,) = (each for each in explained.models if each.target == R1)
    assert state.limit == 64


async def test_another_instance_lets_in_who_waits() -> None:
    gate = asyncio.Event()
    world = World(r1=ScriptedInference([gate, *saying("done")]))
    world.orchestrator.adopt(catalogue({"tiers.r1.variants.fp16.concurrency": 1}), policy())
    running = [asyncio.create_task(world.ask(question(f"{n}?"))) for n in range(3)]
    await world.r1.started.wait()
    await asyncio.sleep(0.01)
    assert world.r1.running == 1
    world.orchestrator.note_capabilities("r1", said(instances=2))
    await asyncio.sleep(0.01)
    assert world.r1.running == 2
    world.orchestrator.note_capabilities("r1", said(instances=1))
    await asyncio.sleep(0.01)
    assert world.r1.running == 2, "nobody is sent away who has been let in"
    gate.set()
    assert [answer.text for answer in await asyncio.gather(*running)] == ["done"] * 3


events = st.tuples(
    st.floats(0, 0.5),
    st.one_of(
        st.tuples(st.just("ask"), st.floats(0.01, 2.0), st.booleans()),
        st.tuples(st.just("spread"), st.integers(0, 6), st.integers(0, 6)),
        st.tuples(st.just("halve"), st.none(), st.none()),
    ),
)


@given(st.lists(events, max_size=60))
def test_whatever_changes_under_load_nobody_is_lost_and_nobody_too_many_is_let_in(
    script: list[tuple[float, tuple[str, Any, Any]]],
) -> None:
    variant = catalogue({"tiers.r1.variants.fp16.concurrency": 3}).variant("r1")

    async def check() -> None:
        model = LiveModel(R1, variant, policy())
        asked: list[asyncio.Task[bool]] = []

        async def use(seconds: float, leaves: bool) -> bool:
            """Hold a place; whoever leaves does so after half of the time that the others hold it."""
            async with model.admission.place(lambda: Claim(now() + 1e6, now() + 1e6)):
                assert model.admission.in_flight <= model.limit.value
                assert 1 <= model.limit.value <= model.limit.most
                await asyncio.sleep(seconds)
            return not leaves

        for pause, (kind, one, other) in script:
            await asyncio.sleep(pause)
            if kind == "ask":
                asked.append(asyncio.create_task(use(one, other)))
                if other:
                    asyncio.get_running_loop().call_later(one / 2, asked[-1].cancel)
            elif kind == "spread":
                model.spread(one, other)
                assert 1 <= model.limit.most <= 3 * model.instances <= model.limit.most * model.sharers
            else:
                model.limit.halve()
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert all(end is True or isinstance(end, asyncio.CancelledError) for end in ended)
        assert (model.admission.in_flight, model.admission.waiting, model.admission.shed) == (0, 0, 0)

    virtual_time.run(check())
