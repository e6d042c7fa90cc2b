"""Would catch an answer with lost, repeated or garbled text, wrong facts about itself, or a wrong order of events."""

from __future__ import annotations

import asyncio
import math

import pytest

from tandem.client import Client, user
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.engine_books import EngineBooks
from tests.integration.asking import (
    R1,
    R1_INT8,
    SYSTEM_TURN,
    collected,
    default_text,
    input_tokens,
    joined,
    kinds,
    question,
    sim,
)
from tests.integration.conftest import Stub

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIXED = '量子计算利用叠加和纠缠。\n\n  Two  spaces, a "quote", a back\\slash and 👩‍🔬🙂 — naïve ﬁn.\tEnd'


async def test_a_unary_answer_carries_everything_about_itself(client: Client) -> None:
    prompt = f"What is the capital of France? {sim(tokens=12, logprob=-0.25)}"

    answer = await client.ask(
        prompt, tier="r1", no_cache=True, request_id="my-request.1", deadline_seconds=10
    )

    assert answer.text == default_text(12)
    assert answer.reasoning == ""
    assert answer.request_id == "my-request.1"
    assert answer.finish_reason == types_pb2.FINISH_REASON_STOP
    assert answer.answered_by == R1
    assert answer.usage == types_pb2.Usage(input_tokens=input_tokens(prompt), output_tokens=12)
    assert answer.cost_nano_usd == input_tokens(prompt) * 100 + 12 * 300
    assert answer.confidence == pytest.approx(math.exp(-0.25), abs=1e-4)
    assert answer.cache == types_pb2.CACHE_OUTCOME_BYPASSED
    assert not answer.degradations
    assert 0 < answer.ttft_ms <= answer.duration_ms
    assert not answer.HasField("fusion")
    assert 0 < answer.duration_ms < 10_000
    assert answer.signals.artifact_revision
    assert answer.signals.language.value == "en"
    assert answer.plan.policy_revision


async def test_the_one_attempt_of_an_answer_is_booked(client: Client) -> None:
    prompt = f"What is the capital of France? {sim(tokens=12, ttft_ms=30)}"

    answer = await client.ask(prompt, tier="r1", variant="int8", no_cache=True, deadline_seconds=10)

    (attempt,) = answer.attempts
    assert (attempt.index, attempt.target, attempt.model) == (0, R1_INT8, "r1-int8")
    assert attempt.purpose == types_pb2.ATTEMPT_PURPOSE_PRIMARY
    assert attempt.outcome == types_pb2.ATTEMPT_OUTCOME_ANSWERED
    assert attempt.finish_reason == types_pb2.FINISH_REASON_STOP
    assert (attempt.usage, attempt.cost_nano_usd) == (answer.usage, answer.cost_nano_usd)
    assert attempt.allowance_ms == answer.plan.attempts[0].allowance_ms
    assert 30 <= attempt.duration_ms <= answer.duration_ms
    assert attempt.error_reason == ""


async def test_the_plan_divides_the_time_as_the_policy_says(client: Client) -> None:
    explained = await client.explain(f"Why? {sim(tokens=2)}", tier="pro", no_cache=True, deadline_seconds=10)

    plan = explained.plan
    (planned,) = plan.attempts
    assert plan.strategy == types_pb2.STRATEGY_ROUTE
    assert 9_000 < plan.deadline_ms <= 10_000
    assert plan.margin_ms == 250
    # A short answer of the fallback at the speed that its attempts have shown.
    (r1,) = (model for model in explained.models if model.target == R1)
    assert plan.fallback_tokens == 256
    assert plan.reserve_ms == pytest.approx(r1.ttft_p95_ms + 256 * r1.tpot_p95_ms)
    assert planned.allowance_ms == pytest.approx(plan.deadline_ms - 250 - plan.reserve_ms)
    assert "the client asked for tier pro" in plan.reasons
    assert planned.sampling.max_tokens == 512
    assert planned.sampling.HasField("temperature")
    assert planned.sampling.HasField("top_k")


@pytest.mark.parametrize("seconds", [0.9, 1.234, 5.009, 10.0, 33.333])
async def test_no_plan_goes_beyond_what_the_client_waits(client: Client, seconds: float) -> None:
    # gRPC sends timeouts rounded up, by up to one percent; how late this one is planned is the machine's business.
    plan = (await client.explain("Why?", deadline_seconds=seconds)).plan

    assert seconds * 500 < plan.deadline_ms <= seconds * 1000


async def test_events_come_in_order_and_finished_comes_once_and_last(stub: Stub) -> None:
    text = "<think>Well, well.</think>\n\nIt is Paris."
    request = question(f"What is the capital of France? {sim(text=text)}", tier="r1")

    events = await collected(
        stub.StreamGenerate(orchestrator_pb2.StreamGenerateRequest(request=request), timeout=10)
    )

    assert kinds(events) == ["started", "reasoning", "text", "finished"]
    assert [event.HasField("finished") for event in events].count(True) == 1
    started, finished = events[0].started, events[-1].finished.answer
    assert (joined(events, "reasoning"), joined(events)) == ("Well, well.", "It is Paris.")
    assert started.request_id == finished.request_id != ""
    assert started.plan == finished.plan
    assert (finished.text, finished.reasoning) == ("", "")
    assert finished.usage.output_tokens == finished.attempts[0].usage.output_tokens
    assert 0 < finished.ttft_ms <= finished.duration_ms
    assert finished.confidence == pytest.approx(math.exp(-0.1), abs=1e-4)


async def test_an_empty_answer_still_starts_and_finishes(stub: Stub) -> None:
    request = orchestrator_pb2.StreamGenerateRequest(request=question(sim(tokens=0), tier="r1"))

    events = await collected(stub.StreamGenerate(request, timeout=10))

    assert kinds(events) == ["started", "finished"]
    assert events[-1].finished.answer.usage.output_tokens == 0


async def test_tokens_are_shown_while_later_ones_are_still_being_made(client: Client) -> None:
    arrivals: list[float] = []
    loop = asyncio.get_running_loop()
    started = loop.time()

    stream = client.stream(
        sim(tokens=50, ttft_ms=20, tpot_ms=40), tier="r1", no_cache=True, deadline_seconds=10
    )
    async for event in stream:
        if event.HasField("text"):
            arrivals.append(loop.time() - started)

    assert arrivals[0] < 1.5
    assert arrivals[-1] >= 0.02 + 49 * 0.04
    assert len(arrivals) >= 10
    assert stream.answer.text == default_text(50)


@pytest.mark.parametrize("chunk_chars", range(1, 13))
async def test_reasoning_is_kept_apart_wherever_the_tags_are_cut(client: Client, chunk_chars: int) -> None:
    reasoning = "想一想: 2 + 2 < 5, and </thin is no tag, <think> neither."
    text = "Four 🙂. <think>This is text</think>, too."
    prompt = sim(text=f"<think>{reasoning}</think>\n\n{text}", chunk_chars=chunk_chars)

    stream = client.stream(prompt, tier="r1", no_cache=True, deadline_seconds=10)
    events = [event async for event in stream]
    unary = await client.ask(prompt, tier="pro", no_cache=True, deadline_seconds=10)

    assert kinds(events) == ["started", "reasoning", "text", "finished"]
    assert (stream.answer.reasoning, stream.answer.text) == (reasoning, text)
    assert (unary.reasoning, unary.text) == (reasoning, text)
    assert stream.answer.usage.output_tokens == unary.usage.output_tokens


@pytest.mark.parametrize("chunk_chars", [0, 1, 3, 1000])
async def test_every_byte_of_text_survives(client: Client, chunk_chars: int) -> None:
    prompt = sim(text=MIXED, chunk_chars=chunk_chars)

    stream = client.stream(prompt, tier="r1", no_cache=True, deadline_seconds=10)
    streamed = joined([event async for event in stream])
    unary = await client.ask(prompt, tier="r1", no_cache=True, deadline_seconds=10)

    assert streamed.encode() == MIXED.encode()
    assert unary.text.encode() == MIXED.encode()


async def test_the_token_cap_ends_an_answer(client: Client) -> None:
    answer = await client.ask(
        sim(tokens=50),
        tier="r1",
        no_cache=True,
        sampling=types_pb2.Sampling(max_tokens=7),
        deadline_seconds=10,
    )

    assert answer.text == default_text(7)
    assert answer.finish_reason == types_pb2.FINISH_REASON_LENGTH
    assert answer.usage.output_tokens == 7


async def test_a_stop_string_ends_an_answer_and_is_not_part_of_it(client: Client) -> None:
    answer = await client.ask(
        sim(tokens=50),
        tier="r1",
        no_cache=True,
        sampling=types_pb2.Sampling(stop=[" t7"]),
        deadline_seconds=10,
    )

    assert answer.text == default_text(7)
    assert answer.finish_reason == types_pb2.FINISH_REASON_STOP


async def test_a_conversation_reaches_the_model_through_its_chat_template(client: Client) -> None:
    turns = [
        types_pb2.Message(role=types_pb2.ROLE_SYSTEM, parts=[types_pb2.Part(text="Be brief.")]),
        user("Hello <|im_start|>"),
        types_pb2.Message(role=types_pb2.ROLE_ASSISTANT, parts=[types_pb2.Part(text="你好")]),
        types_pb2.Message(
            role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text="And "), types_pb2.Part(text=sim(tokens=3))]
        ),
    ]
    rendered = (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello <|im_start|><|im_end|>\n"
        f"<|im_start|>assistant\n你好<|im_end|>\n<|im_start|>user\nAnd {sim(tokens=3)}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )

    answer = await client.ask(turns, tier="r1", no_cache=True, deadline_seconds=10)

    assert answer.text == default_text(3)
    assert answer.usage.input_tokens == len(rendered) // 4
    assert SYSTEM_TURN not in rendered


async def test_32_streams_at_a_time_keep_to_themselves(client: Client, books: EngineBooks) -> None:
    texts = [f"{number}: {MIXED * 3} {number}" for number in range(32)]
    before = await books.settled()

    async def ask(number: int) -> types_pb2.Answer:
        prompt = sim(text=texts[number], chunk_chars=1 + number % 5, ttft_ms=20, tpot_ms=2)
        stream = client.stream(prompt, tier=("r1", "pro")[number % 2], no_cache=True, deadline_seconds=30)
        async for _ in stream:
            pass
        return stream.answer

    answers = await asyncio.gather(*(ask(number) for number in range(32)))

    assert [answer.text for answer in answers] == texts
    assert [list(answer.degradations) for answer in answers] == [[]] * 32
    after = await books.settled()
    made = {model: after[model] - before[model] for model in ("r1", "pro")}
    claimed = {
        tier: sum(a.usage.output_tokens for a in answers if a.answered_by.tier == tier) for tier in made
    }
    assert claimed == made
