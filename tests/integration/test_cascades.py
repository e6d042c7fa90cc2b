"""Would catch a cascade that loses its draft, its deadline or its tokens when something fails on a real Triton."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tandem.client import Client
from tandem.v1 import types_pb2
from tests.engine_books import PUBLISHED_SECONDS, EngineBooks
from tests.integration.asking import PRO, R1, default_text, joined, kinds, sim
from tests.integration.conftest import Start

pytestmark = pytest.mark.asyncio(loop_scope="session")

CASCADE = types_pb2.STRATEGY_CASCADE
SURE, UNSURE = sim("r1", text="The answer is B.", logprob=-0.01), sim("r1", text="B?", logprob=-6)
EASY = "What is the capital of France?"


def options(seconds: float = 5, **more: Any) -> dict[str, Any]:
    return {"strategy": CASCADE, "no_cache": True, "deadline_seconds": seconds, **more}


async def test_a_sure_draft_is_the_answer(client: Client) -> None:
    answer = await client.ask(f"{EASY} {SURE}", **options())

    assert (answer.text, answer.answered_by) == ("The answer is B.", R1)
    assert not answer.gate.escalated
    assert answer.gate.confidence == pytest.approx(0.99, abs=0.001)
    assert len(answer.attempts) == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_pro_answers_with_the_draft_before_it(client: Client, streamed: bool) -> None:
    prompt = f"{EASY} {UNSURE} {sim('pro', text='Paris.')}"
    plain = await client.ask(prompt, **options(tier="pro", strategy=types_pb2.STRATEGY_UNSPECIFIED))
    if streamed:
        stream = client.stream(prompt, **options())
        events = [event async for event in stream]
        assert kinds(events) == ["started", "text", "finished"]
        assert joined(events) == "Paris."
        answer = stream.answer
    else:
        answer = await client.ask(prompt, **options())

    assert (answer.text, answer.answered_by) == ("Paris.", PRO)
    assert [attempt.purpose for attempt in answer.attempts] == [
        types_pb2.ATTEMPT_PURPOSE_PRIMARY,
        types_pb2.ATTEMPT_PURPOSE_ESCALATION,
    ]
    assert answer.gate.escalated
    assert answer.gate.probability < 0.5
    # The template has 200 characters and more; the simulator counts four as a token.
    assert answer.attempts[1].usage.input_tokens > plain.attempts[0].usage.input_tokens + 50
    assert not answer.degradations


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("oom", types_pb2.DEGRADATION_REASON_OUT_OF_MEMORY),
        ("error", types_pb2.DEGRADATION_REASON_ESCALATION_FAILED),
        ("hang", types_pb2.DEGRADATION_REASON_TIMEOUT),
        ("garbage", types_pb2.DEGRADATION_REASON_UNAVAILABLE),
    ],
)
async def test_the_draft_is_the_answer_when_pro_fails(client: Client, fault: str, reason: int) -> None:
    started = time.monotonic()

    answer = await client.ask(f"{EASY} {UNSURE} {sim('pro', fault=fault)}", **options())

    assert time.monotonic() - started < 5
    assert (answer.text, answer.answered_by) == ("B?", R1)
    (degradation,) = answer.degradations
    assert (degradation.reason, degradation.from_target, degradation.to_target) == (reason, PRO, R1)


async def test_a_stream_takes_back_what_a_dying_pro_has_said(client: Client) -> None:
    prompt = f"{EASY} {UNSURE} {sim('pro', tokens=40, tpot_ms=20, fault='oom', at=8)}"

    stream = client.stream(prompt, **options(seconds=20))
    events = [event async for event in stream]

    assert kinds(events) == ["started", "text", "revision", "finished"]
    assert default_text(40).startswith(joined(events))
    assert stream.answer.text == "B?"


async def test_without_revisions_nothing_is_taken_back(client: Client) -> None:
    prompt = f"{EASY} {UNSURE} {sim('pro', tokens=40, tpot_ms=5, fault='oom', at=8)}"

    events = [event async for event in client.stream(prompt, **options(no_revisions=True))]

    assert kinds(events) == ["started", "text", "finished"]
    assert joined(events) == "B?"


async def test_a_late_draft_leaves_pro_out(start: Start) -> None:
    # A Tandem that has learned nothing yet: Pro is expected to make 500 tokens a second.
    prompt = f"{EASY} {sim('r1', tokens=500, tpot_ms=2, logprob=-6)}"
    async with start() as own, Client(own.address) as client:
        started = time.monotonic()
        answer = await client.ask(prompt, **options(seconds=1.9))
        assert time.monotonic() - started < 1.9

    assert answer.answered_by == R1
    assert len(answer.attempts) == 1
    assert [each.reason for each in answer.degradations] == [types_pb2.DEGRADATION_REASON_DEADLINE]
    assert answer.gate.escalated


@pytest.mark.parametrize("step", ["r1", "pro"])
async def test_a_cancel_stops_the_step_under_way(client: Client, books: EngineBooks, step: str) -> None:
    slow = sim(step, tokens=4000, tpot_ms=5, logprob=-6)
    prompt = f"{EASY} {UNSURE if step == 'pro' else ''} {slow}"
    before = await books.total()
    running = asyncio.create_task(client.ask(prompt, **options(seconds=60)))
    while await books.total() < before + 50:
        await asyncio.sleep(0.01)

    running.cancel()
    cancelled = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await running

    # 250 ms are granted; the rest is what the engine's publication of its counts may lag behind.
    assert await books.stood_still_after(cancelled) <= 0.25 + PUBLISHED_SECONDS + 0.02
