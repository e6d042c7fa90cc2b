"""Would catch: a model that fails and is asked all the same, or one that is well and is not."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

import pytest

from tandem.errors import (
    BackendUnavailable,
    DeadlineExceeded,
    OutOfMemory,
)
from tandem.orchestrator.admission import Claim
from tandem.orchestrator.attempts import Attempts
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.retry_budget import RetryBudget
from tandem.v1 import types_pb2
from tests.fakes.attempts import CATALOGUE, R1, Run, run
from tests.fakes.calls import call, question
from tests.fakes.documents import policy
from tests.fakes.inference import HANG, ScriptedInference, saying
from tests.fakes.services import signals

pytestmark = pytest.mark.virtual_time


# --- what attempts teach


async def test_running_out_of_memory_halves_the_limit_and_recovers() -> None:
    tried = run([OutOfMemory("full")], [], again=saying("fine"))
    limit = tried.live.of(R1).limit
    assert limit.value == 32
    await tried.answer()
    assert limit.value == 16
    for expected in (17, 18):
        await asyncio.sleep(1.0)
        again = run(saying("fine"), [])
        again.backends = dataclasses.replace(again.backends, live=tried.live)
        again.attempts = Attempts(again.asked, again.backends, again.record, buffered=False)
        await again.answer()
        assert limit.value == expected


async def test_a_model_that_keeps_failing_gets_no_requests_for_a_while() -> None:
    live = LiveModels(CATALOGUE, policy())
    for _ in range(5):
        tried = run([BackendUnavailable("dead")], saying("fine"))
        tried.backends = dataclasses.replace(tried.backends, live=live)
        tried.attempts = Attempts(tried.asked, tried.backends, tried.record, buffered=False)
        await tried.answer()
    assert live.of(R1).breaker.state == types_pb2.BREAKER_STATE_OPEN
    planned = Planner(CATALOGUE, policy(), live).plan(question(), signals(), call())
    assert planned.plan.attempts[0].target.tier == "pro"
    (degradation,) = planned.degradations
    assert degradation.reason == types_pb2.DEGRADATION_REASON_UNAVAILABLE
    await asyncio.sleep(1.0)
    planned = Planner(CATALOGUE, policy(), live).plan(question(), signals(), call())
    assert planned.plan.attempts[0].target.tier == "r1", "one request tries it again"


async def test_a_deadline_that_is_short_says_nothing_about_the_model() -> None:
    """It had 45 ms for a first token that usually takes 100."""
    tried = Run(ScriptedInference([HANG]), ScriptedInference(saying("fine")), call(seconds=0.1))
    with contextlib.suppress(DeadlineExceeded):
        await tried.answer()
    assert tried.live.of(R1).breaker._in_a_row == 0
    assert tried.live.of(R1).limit.value == 32


async def test_failing_in_vain_is_bounded() -> None:
    """When all fail, ten further attempts are granted, and then one for ten requests."""
    budget = RetryBudget(0.1)
    made = 0
    for _ in range(200):
        tried = run([BackendUnavailable("r1")], [BackendUnavailable("pro")])
        budget.request()
        tried.backends = dataclasses.replace(tried.backends, budget=budget)
        tried.attempts = Attempts(tried.asked, tried.backends, tried.record, buffered=False)
        with pytest.raises(BackendUnavailable):
            await tried.answer()
        made += len(tried.record.attempts)
    assert made <= 200 * 1.1 + 11


async def test_a_variant_on_a_server_that_seems_sick_is_the_last_resort() -> None:
    """r1/int8 is the only one to stand in for pro here, but r1/fp16 beside it hangs: so pro is waited for."""
    tried = run([], saying("thorough"), r1_suffices=0.1)
    for target in ("fp16", "int8"):
        tried.plan.fallbacks.add(
            on=types_pb2.ATTEMPT_OUTCOME_OVERLOADED,
            from_tier="pro",
            target=types_pb2.Target(tier="r1", variant=target),
        )
    fallbacks, first = tried.attempts._fallbacks, tried.plan.attempts[0]
    instead = fallbacks.after(first, types_pb2.ATTEMPT_OUTCOME_OVERLOADED)
    assert instead is not None
    assert instead.target.variant == "fp16"
    for _ in range(5):
        tried.live.of(R1).breaker.failed(types_pb2.ATTEMPT_OUTCOME_TIMEOUT, 0)
    assert fallbacks.after(first, types_pb2.ATTEMPT_OUTCOME_OVERLOADED) is None
    instead = fallbacks.after(first, types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY)
    assert instead is not None, "but a model that has failed is replaced all the same"


async def test_without_a_free_place_another_model_answers() -> None:
    """Pro has one place, and that is taken for as long as this request can wait."""
    tried = run(saying("quick"), saying("thorough"), r1_suffices=0.1)
    tried.plan.fallbacks.add(
        on=types_pb2.ATTEMPT_OUTCOME_OVERLOADED,
        from_tier="pro",
        target=types_pb2.Target(tier="r1", variant="fp16"),
    )
    pro = tried.live.of(types_pb2.Target(tier="pro", variant="bf16"))
    pro.limit.value = 1
    pro.admission._hold_ms = 60_000
    async with pro.admission.place(lambda: Claim(0.0, 0.0)):
        await tried.answer()
    assert tried.result.text == "quick"
    assert tried.targets() == ["r1/fp16"], "no call was made to pro"
    assert [d.reason for d in tried.record.degradations] == [types_pb2.DEGRADATION_REASON_OVERLOAD]
