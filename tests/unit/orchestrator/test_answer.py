"""Would catch: a step of the story left out, an answer for another tenant, a stream without an end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from tandem.clock import now
from tandem.errors import (
    BackendError,
    BackendUnavailable,
    DeadlineTooShort,
    InternalError,
    ModalityUnsupported,
)
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call, image, question, user
from tests.fakes.inference import HANG, finished, saying, text, thought
from tests.fakes.services import signals
from tests.fakes.world import World, as_seen, kinds

MISS, HIT, BYPASSED, SHARED = (
    types_pb2.CACHE_OUTCOME_MISS,
    types_pb2.CACHE_OUTCOME_HIT,
    types_pb2.CACHE_OUTCOME_BYPASSED,
    types_pb2.CACHE_OUTCOME_SHARED,
)
Event = orchestrator_pb2.StreamGenerateResponse

pytestmark = pytest.mark.virtual_time


# --- the story


async def test_an_answer_has_everything_that_led_to_it() -> None:
    world = World([thought("hm"), text("because"), finished(4, input_tokens=7, confidence=0.5)])
    answer = await world.ask()
    assert (answer.text, answer.reasoning, answer.request_id) == ("because", "hm", "test")
    assert answer.finish_reason == types_pb2.FINISH_REASON_STOP
    assert answer.answered_by == types_pb2.Target(tier="r1", variant="fp16")
    assert answer.usage == types_pb2.Usage(input_tokens=7, output_tokens=4)
    assert answer.cost_nano_usd == 7 * 100 + 4 * 300
    assert answer.signals == signals()
    assert answer.plan.attempts[0].target == answer.answered_by
    assert [a.outcome for a in answer.attempts] == [types_pb2.ATTEMPT_OUTCOME_ANSWERED]
    assert (answer.cache, answer.confidence) == (MISS, 0.5)
    assert not answer.HasField("fusion")
    assert answer.ttft_ms == pytest.approx(1)
    assert answer.duration_ms > 0


async def test_signals_choose_the_tier() -> None:
    world = World()
    world.classifier.found = signals(0.1)
    assert (await world.ask()).text == "therefore"


async def test_every_attempt_is_paid() -> None:
    answer = await World([BackendUnavailable("dead")]).ask()
    assert answer.text == "therefore"
    assert len(answer.attempts) == 2
    assert answer.usage == types_pb2.Usage(input_tokens=5, output_tokens=1)
    assert answer.cost_nano_usd == 5 * 1000 + 1 * 3000
    assert [d.reason for d in answer.degradations] == [types_pb2.DEGRADATION_REASON_UNAVAILABLE]


async def test_an_ensemble_is_fused() -> None:
    world = World(strategy="ensemble")
    world.fusion.winner = 1
    answer = await world.ask()
    assert (answer.text, answer.answered_by.tier) == ("therefore", "pro")
    assert answer.fusion.winner == 1
    assert len(answer.attempts) == 2
    assert answer.cost_nano_usd == (5 * 100 + 300) + (5 * 1000 + 3000)


async def test_errors_are_raised_as_they_are() -> None:
    error = BackendError("odd")
    with pytest.raises(BackendError) as caught:
        await World([error]).ask()
    assert caught.value is error


# --- the classifier never delays


async def test_a_late_classifier() -> None:
    world = World(classifier__allowance_ms=10)
    world.classifier.hangs = True
    before = now()
    answer = await world.ask()
    assert now() - before == pytest.approx(0.010 + 2 * world.r1.token_seconds)
    assert answer.text == "because"
    assert not answer.HasField("signals")
    (degradation,) = answer.degradations
    assert degradation.reason == types_pb2.DEGRADATION_REASON_CLASSIFIER
    assert "the classifier was late" in degradation.detail


@pytest.mark.parametrize(
    "failure", [BackendUnavailable("dead"), InternalError("odd"), ValueError("defect"), KeyError()]
)
async def test_a_broken_classifier(failure: Exception) -> None:
    world = World(routing__undecided="pro")
    world.classifier.failure = failure
    answer = await world.ask()
    assert answer.text == "therefore"
    assert [d.reason for d in answer.degradations] == [types_pb2.DEGRADATION_REASON_CLASSIFIER]
    assert str(failure) in answer.degradations[0].detail


async def test_the_classifier_gets_its_allowance_only() -> None:
    world = World(classifier__allowance_ms=50)
    await world.ask()
    assert world.classifier.calls[0].remaining() < 0.06


async def test_cancelling_while_classifying_is_no_degradation() -> None:
    world = World(classifier__allowance_ms=10_000)
    world.classifier.hangs = True
    task = asyncio.create_task(world.ask())
    while not world.classifier.calls:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.r1.requests == []


# --- the cache


async def test_the_second_time_the_answer_comes_from_the_cache() -> None:
    world = World()
    first = await world.ask()
    second = await world.orchestrator.generate(question(), call(request_id="second"))
    assert (first.cache, second.cache) == (MISS, HIT)
    assert (second.text, second.request_id, second.source_request_id) == ("because", "second", "test")
    assert (second.cost_nano_usd, len(second.attempts)) == (0, 0)
    assert len(world.r1.requests) == len(world.classifier.calls) == 1


async def test_tenants_never_share() -> None:
    world = World()
    assert [(await world.ask(tenant=tenant)).cache for tenant in ("a", "b", "a")] == [MISS, MISS, HIT]


@pytest.mark.parametrize(("entries", "no_cache"), [(1000, True), (0, False)])
async def test_the_cache_can_be_bypassed(entries: int, no_cache: bool) -> None:
    world = World(cache__entries=entries)
    asked = orchestrator_pb2.GenerateRequest(messages=[user()], no_cache=no_cache)
    assert [(await world.ask(asked)).cache for _ in range(2)] == [BYPASSED, BYPASSED]
    assert len(world.r1.requests) == 2


async def test_no_cache_does_not_write_either() -> None:
    world = World()
    await world.ask(orchestrator_pb2.GenerateRequest(messages=[user()], no_cache=True))
    assert (await world.ask()).cache == MISS


async def test_a_degraded_answer_is_not_kept() -> None:
    world = World([BackendUnavailable("dead")])
    assert [(await world.ask()).cache for _ in range(2)] == [MISS, MISS]


async def test_what_was_drawn_at_a_high_temperature_is_not_kept() -> None:
    world = World()
    sampling = types_pb2.Sampling(temperature=1.0)
    asked = orchestrator_pb2.GenerateRequest(messages=[user()], sampling=sampling)
    assert [(await world.ask(asked)).cache for _ in range(2)] == [BYPASSED, BYPASSED]
    hot = World(cache__max_temperature=0.1)
    assert [(await hot.ask()).cache for _ in range(2)] == [MISS, MISS]


async def test_streams_and_unary_answers_share_the_cache() -> None:
    world = World([thought("hm"), *saying("be", "cause")])
    await world.events()
    answer = await world.ask()
    assert (answer.cache, answer.text, answer.reasoning) == (HIT, "because", "hm")
    events = await world.events()
    assert kinds(events) == ["started", "reasoning", "text", "finished"]
    assert not events[0].started.HasField("plan")
    assert (events[1].reasoning.delta, events[2].text.delta) == ("hm", "because")
    assert events[-1].finished.answer.cache == HIT
    assert events[-1].finished.answer.text == ""


async def test_an_answer_can_be_forgotten() -> None:
    world = World()
    await world.ask()
    assert await world.orchestrator.forget("test", call())
    assert not await world.orchestrator.forget("test", call())
    assert (await world.ask()).cache == MISS


# --- single flight


async def test_identical_requests_in_flight_share_an_attempt() -> None:
    world = World()
    asked = [world.orchestrator.generate(question(), call(request_id=name)) for name in ("one", "two")]
    first, second = await asyncio.gather(*asked)
    assert len(world.r1.requests) == len(world.classifier.calls) == 1
    assert (second.text, second.cache, second.source_request_id) == ("because", SHARED, "one")
    assert (len(first.attempts), len(second.attempts)) == (1, 0)
    assert await world.orchestrator.forget("two", call())


async def test_streams_in_flight_share_an_attempt() -> None:
    world = World([thought("hm"), *saying("be", "cause")])
    for events in await asyncio.gather(world.events(), world.events()):
        assert kinds(events) == ["started", "reasoning", "text", "text", "finished"]
    assert len(world.r1.requests) == 1


@pytest.mark.parametrize(
    ("changes", "others"),
    [
        ({}, {"tenant": "b"}),
        ({"no_cache": True}, {}),
        ({"sampling": types_pb2.Sampling(temperature=0.9)}, {}),
    ],
    ids=["tenants", "no_cache", "hot"],
)
async def test_what_is_never_shared(changes: dict[str, Any], others: dict[str, Any]) -> None:
    world = World()
    asked = orchestrator_pb2.GenerateRequest(messages=[user()], **changes)
    answers = await asyncio.gather(
        world.ask(asked, tenant="a"), world.ask(asked, **{"tenant": "a", **others})
    )
    assert len(world.r1.requests) == 2
    assert SHARED not in {answer.cache for answer in answers}


# --- streams


async def test_a_stream_ends_with_exactly_one_finished() -> None:
    world = World([thought("h"), thought("m"), *saying("be", "cause")])
    events = await world.events()
    assert kinds(events) == ["started", "reasoning", "reasoning", "text", "text", "finished"]
    assert events[0].started.request_id == "test"
    assert events[0].started.plan.attempts[0].target.tier == "r1"
    answer = events[-1].finished.answer
    assert (answer.text, answer.reasoning) == ("", "")
    assert answer.usage.output_tokens == 2
    assert answer.duration_ms >= answer.ttft_ms > 0


async def test_a_fallen_back_stream_tells_its_seam_and_its_degradation() -> None:
    events = await World([text("be"), BackendUnavailable("dead")]).events()
    assert kinds(events) == ["started", "text", "seam", "text", "finished"]
    answer = events[-1].finished.answer
    assert answer.answered_by.tier == "pro"
    assert len(answer.degradations) == 1
    assert answer.ttft_ms == pytest.approx(answer.attempts[0].started_ms + answer.attempts[0].ttft_ms)


async def test_a_stream_that_fails_has_an_error_and_no_finished() -> None:
    found = []
    with pytest.raises(BackendError):
        async for event in World([text("be"), BackendError("odd")]).orchestrator.stream_generate(
            question(), call()
        ):
            found.append(event)
    assert kinds(found) == ["started", "text"]


async def test_a_streamed_ensemble() -> None:
    world = World(strategy="ensemble")
    world.fusion.winner = 1
    events = await world.events()
    assert kinds(events) == ["started", "text", "revision", "finished"]
    assert as_seen(events) == "therefore"
    assert events[-1].finished.answer.fusion.winner == 1


async def test_an_empty_answer_is_an_answer() -> None:
    events = await World([finished(0)]).events()
    assert kinds(events) == ["started", "finished"]


async def test_closing_a_stream_stops_its_tier() -> None:
    world = World([text("be"), HANG])
    async with aclosing(world.orchestrator.stream_generate(question(), call())) as events:
        assert kinds([await anext(events), await anext(events)]) == ["started", "text"]
    assert world.r1.running == 0


# --- refusals, before anything is generated


async def test_refused_at_once() -> None:
    world = World()
    asked = orchestrator_pb2.GenerateRequest(messages=[user(), image()], tier="r1")
    with pytest.raises(ModalityUnsupported):
        await world.ask(asked)
    with pytest.raises(DeadlineTooShort):
        await world.orchestrator.generate(question(), call(seconds=0.03))
    assert world.r1.requests == []


# --- explain


async def test_explaining_runs_nothing() -> None:
    world = World()
    explained = await world.orchestrator.explain(question(), call())
    assert explained.signals == signals()
    assert explained.plan.attempts[0].target.tier == "r1"
    assert list(explained.degradations) == []
    assert world.r1.requests == world.pro.requests == []


async def test_explaining_tells_what_is_already_known_to_be_less() -> None:
    world = World()
    world.classifier.failure = ValueError("defect")
    explained = await world.orchestrator.explain(question(), call())
    assert not explained.HasField("signals")
    assert [d.reason for d in explained.degradations] == [types_pb2.DEGRADATION_REASON_CLASSIFIER]
