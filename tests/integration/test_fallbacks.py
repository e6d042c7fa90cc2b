"""Would catch a failure that costs the answer: a wrong replacement, one too many, one too late, text lost at a seam."""

from __future__ import annotations

import time

import grpc
import pytest

from tandem.client import Client
from tandem.errors import BackendError, BackendUnavailable, DeadlineExceeded, OutOfMemory
from tandem.v1 import types_pb2
from tests.engine_books import EngineBooks
from tests.integration.asking import PRO, R1, R1_INT8, default_text, failure, joined, kinds, question, sim
from tests.integration.conftest import Stub
from tests.system import Tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIMEOUT = types_pb2.DEGRADATION_REASON_TIMEOUT
OUT_OF_MEMORY = types_pb2.DEGRADATION_REASON_OUT_OF_MEMORY
WAKE_SECONDS = 0.5
"""How long this process may wait for a core before it can read what came in time."""
STORY = "One  two\n\nthree 量子 🙂 four,   five.\n"


def story_of(answer: types_pb2.Answer) -> list[tuple[str, str, str]]:
    """Return model, purpose and outcome of each attempt."""
    return [
        (
            attempt.model,
            types_pb2.AttemptPurpose.Name(attempt.purpose).removeprefix("ATTEMPT_PURPOSE_"),
            types_pb2.AttemptOutcome.Name(attempt.outcome).removeprefix("ATTEMPT_OUTCOME_"),
        )
        for attempt in answer.attempts
    ]


@pytest.mark.parametrize("streamed", [False, True])
async def test_r1_answers_shortly_before_the_deadline_when_pro_hangs(client: Client, streamed: bool) -> None:
    prompt = f"{sim(tokens=400)} {sim('pro', fault='hang')}"
    started = time.monotonic()

    if streamed:
        stream = client.stream(prompt, tier="pro", no_cache=True, deadline_seconds=4)
        assert kinds([event async for event in stream]) == ["started", "text", "finished"]
        answer = stream.answer
    else:
        answer = await client.ask(prompt, tier="pro", no_cache=True, deadline_seconds=4)

    # It is silent for 1000 ms and longer, as the policy says: then it hangs.
    assert 1.0 <= time.monotonic() - started < 4.0
    assert answer.finish_reason == types_pb2.FINISH_REASON_LENGTH
    assert answer.answered_by == R1
    assert story_of(answer) == [("pro", "PRIMARY", "TIMEOUT"), ("r1", "FALLBACK", "ANSWERED")]
    (degradation,) = answer.degradations
    assert (degradation.reason, degradation.from_target, degradation.to_target) == (TIMEOUT, PRO, R1)
    # As many tokens as fit into the time at the speed that r1 has shown, and of those the whole sentences.
    assert 8 <= degradation.max_tokens <= 256
    assert answer.text == default_text(degradation.max_tokens // 8 * 8)


async def test_a_cap_of_the_client_below_256_stays(client: Client) -> None:
    prompt = f"{sim(tokens=400)} {sim('pro', fault='hang')}"

    answer = await client.ask(
        prompt, tier="pro", no_cache=True, deadline_seconds=4, sampling=types_pb2.Sampling(max_tokens=9)
    )

    assert answer.text == default_text(9)
    assert not answer.degradations[0].HasField("max_tokens"), "it has no fewer tokens than were asked for"


@pytest.mark.parametrize(
    ("tier", "fault", "model", "reason"),
    [
        ("pro", "oom", "r1-int8", OUT_OF_MEMORY),
        ("r1", "oom", "r1-int8", OUT_OF_MEMORY),
        ("r1", "hang", "pro", TIMEOUT),
        ("pro", "hang", "r1", TIMEOUT),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_answers_instead(
    client: Client, tier: str, fault: str, model: str, reason: int, streamed: bool
) -> None:
    prompt = f"{sim(tokens=8)} {sim(tier, fault=fault)}"

    if streamed:
        stream = client.stream(prompt, tier=tier, no_cache=True, deadline_seconds=4)
        assert kinds([event async for event in stream]) == ["started", "text", "finished"]
        answer = stream.answer
    else:
        answer = await client.ask(prompt, tier=tier, no_cache=True, deadline_seconds=4)

    failed = "OUT_OF_MEMORY" if fault == "oom" else "TIMEOUT"
    assert story_of(answer) == [(tier, "PRIMARY", failed), (model, "FALLBACK", "ANSWERED")]
    assert answer.text == default_text(8)
    assert [each.reason for each in answer.degradations] == [reason]
    assert fault != "hang" or answer.degradations[0].max_tokens <= 256
    assert answer.cost_nano_usd == sum(attempt.cost_nano_usd for attempt in answer.attempts)


async def test_a_tenant_without_pro_gets_r1s_other_variant(system: Tandem) -> None:
    async with Client(system.address, tenant="free-plan") as client:
        answer = await client.ask(
            f"{sim(tokens=8)} {sim('r1', fault='hang')}", no_cache=True, deadline_seconds=4
        )

    assert answer.answered_by == R1_INT8
    assert (answer.degradations[-1].reason, answer.degradations[-1].from_target) == (TIMEOUT, R1)


async def test_another_kind_of_failure_is_raised_typed_and_not_retried(
    client: Client, books: EngineBooks
) -> None:
    before = await books.settled("requests")

    with pytest.raises(BackendError, match="simulated engine failure") as caught:
        await client.ask(
            sim(fault="error"), tier="pro", no_cache=True, request_id="failing", deadline_seconds=5
        )

    assert caught.value.details.metadata["request_id"] == "failing"
    after = await books.settled("requests")
    assert {model: after[model] - before[model] for model in after} == {"r1": 0, "r1-int8": 0, "pro": 1}


@pytest.mark.parametrize("garbage", ["utf8", "dtype", "shape"])
async def test_an_answer_that_cannot_be_read_is_given_by_another_tier(client: Client, garbage: str) -> None:
    answer = await client.ask(
        f"{sim(tokens=8)} {sim('r1', fault='garbage', garbage=garbage)}",
        tier="r1",
        no_cache=True,
        deadline_seconds=5,
    )

    assert (answer.answered_by, answer.text) == (PRO, default_text(8))
    assert [each.reason for each in answer.degradations] == [types_pb2.DEGRADATION_REASON_UNAVAILABLE]


async def test_when_no_tier_can_be_read_the_error_says_so(client: Client) -> None:
    with pytest.raises(BackendUnavailable, match="tensors that cannot be read"):
        await client.ask(sim(fault="garbage"), tier="r1", no_cache=True, deadline_seconds=5)


async def test_there_is_one_fallback_and_no_more(client: Client, books: EngineBooks) -> None:
    before = await books.settled("requests")

    with pytest.raises(OutOfMemory, match="r1-int8"):
        await client.ask(sim(fault="oom"), tier="pro", no_cache=True, deadline_seconds=5)
    with pytest.raises(OutOfMemory, match="r1: "):
        await client.ask(
            f"{sim('pro', fault='hang')} {sim('r1', fault='oom')}",
            tier="pro",
            no_cache=True,
            deadline_seconds=4,
        )

    after = await books.settled("requests")
    assert {model: after[model] - before[model] for model in after} == {"r1": 1, "r1-int8": 1, "pro": 2}


async def test_no_fallback_when_the_caller_grants_none(stub: Stub) -> None:
    request = question(sim(fault="oom"), tier="pro")

    failed = await failure(stub.Generate(request, timeout=5, metadata=[("tandem-retries-left", "0")]))

    assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OUT_OF_MEMORY")
    assert failed.message.startswith("pro: ")


@pytest.mark.parametrize("at", [1, 3, 4, 5, 9, 10, 11, 14, 17, 18, 26, 28, 31])
async def test_text_that_was_shown_is_neither_repeated_nor_lost_at_the_seam(client: Client, at: int) -> None:
    prompt = f"{sim(text=STORY, chunk_chars=1)} {sim('pro', fault='oom', at=at)}"

    stream = client.stream(prompt, tier="pro", no_cache=True, deadline_seconds=5)
    events = [event async for event in stream]

    assert kinds(events) == ["started", "text", "seam", "text", "finished"]
    assert joined(events).encode() == STORY.encode()
    (seam,) = (event.seam for event in events if event.HasField("seam"))
    assert seam.byte_offset == len(STORY[:at].encode())
    assert (seam.from_target, seam.to_target, seam.cause) == (PRO, R1_INT8, OUT_OF_MEMORY)
    assert story_of(stream.answer) == [
        ("pro", "PRIMARY", "OUT_OF_MEMORY"),
        ("r1-int8", "FALLBACK", "ANSWERED"),
    ]
    assert stream.answer.attempts[0].usage.output_tokens == at


async def test_a_stream_that_stalls_goes_on_at_another_tier(client: Client) -> None:
    prompt = f"{sim(text=STORY, chunk_chars=2)} {sim('pro', fault='stall', at=6)}"

    stream = client.stream(prompt, tier="pro", no_cache=True, deadline_seconds=5)
    events = [event async for event in stream]

    assert kinds(events) == ["started", "text", "seam", "text", "finished"]
    assert joined(events).encode() == STORY.encode()
    (seam,) = (event.seam for event in events if event.HasField("seam"))
    assert seam.byte_offset == len(STORY[:12].encode())
    assert (seam.from_target, seam.to_target, seam.cause) == (PRO, R1, TIMEOUT)


async def test_a_seam_after_reasoning_continues_the_text_alone(client: Client) -> None:
    prompt = f"{sim(text='<think>Hm, 量子.</think>' + STORY, chunk_chars=1)} {sim('pro', fault='oom', at=30)}"

    stream = client.stream(prompt, tier="pro", no_cache=True, deadline_seconds=5)
    events = [event async for event in stream]

    assert kinds(events) == ["started", "reasoning", "text", "seam", "text", "finished"]
    assert (stream.answer.reasoning, stream.answer.text) == ("Hm, 量子.", STORY)


async def test_all_models_hanging_is_a_typed_error_by_the_deadline(
    client: Client, books: EngineBooks
) -> None:
    started = time.monotonic()

    with pytest.raises(DeadlineExceeded) as caught:
        await client.ask(
            sim(fault="hang"), tier="pro", no_cache=True, request_id="nobody", deadline_seconds=1.0
        )

    assert 0.7 < time.monotonic() - started < 1.0 + WAKE_SECONDS
    assert caught.value.details.metadata["request_id"] == "nobody"


async def test_text_that_was_shown_is_the_answer_when_nothing_more_comes(client: Client) -> None:
    stream = client.stream(sim(fault="stall", at=4), tier="r1", no_cache=True, deadline_seconds=2.5)
    started = time.monotonic()

    events = [event async for event in stream]

    assert 2.1 < time.monotonic() - started < 2.5 + WAKE_SECONDS
    assert stream.answer.finish_reason == types_pb2.FINISH_REASON_LENGTH
    reasons = [each.reason for each in stream.answer.degradations]
    assert reasons == [TIMEOUT, types_pb2.DEGRADATION_REASON_DEADLINE]
    # Pro went on from the four tokens that r1 had shown, stalled after four more, and nothing else may answer.
    assert joined(events) == default_text(8)
