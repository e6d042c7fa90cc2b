"""Would catch: a failure that nothing or the wrong model answers, a lost attempt or a wrong cost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import (
    BackendError,
    BackendUnavailable,
    Cancelled,
    DeadlineExceeded,
    Draining,
    InternalError,
    InvalidRequest,
    ModalityUnsupported,
    OutOfMemory,
    PromptTooLong,
    TandemError,
    UnknownVariant,
)
from tandem.orchestrator.attempts import Attempts
from tandem.simulation import virtual_time
from tandem.v1 import types_pb2
from tests.fakes.attempts import Run, run, shown
from tests.fakes.calls import call
from tests.fakes.inference import HANG, ScriptedInference, Step, finished, saying, text, thought

pytestmark = pytest.mark.virtual_time


# --- the table of fallbacks: who fails how, who answers, with which cap

FAILURES: list[tuple[str, TandemError, str, str, str, int | None]] = [
    ("r1", DeadlineExceeded("slow"), "TIMEOUT", "TIMEOUT", "pro/bf16", 256),
    ("r1", OutOfMemory("full"), "OUT_OF_MEMORY", "OUT_OF_MEMORY", "r1/int8", None),
    ("r1", BackendUnavailable("dead"), "UNAVAILABLE", "UNAVAILABLE", "pro/bf16", 489),
    ("r1", Draining("going"), "UNAVAILABLE", "UNAVAILABLE", "pro/bf16", 489),
    ("pro", DeadlineExceeded("slow"), "TIMEOUT", "TIMEOUT", "r1/fp16", 256),
    ("pro", OutOfMemory("full"), "OUT_OF_MEMORY", "OUT_OF_MEMORY", "r1/int8", None),
    ("pro", BackendUnavailable("dead"), "UNAVAILABLE", "UNAVAILABLE", "r1/fp16", None),
    ("pro", Draining("going"), "UNAVAILABLE", "UNAVAILABLE", "r1/fp16", None),
]
table = pytest.mark.parametrize(("tier", "error", "outcome", "reason", "target", "cap"), FAILURES)
"""Every row of the policy's fallbacks. Of 10 s, 10 ms are the margin and 200 ms pro's first token: 489 times 20 ms."""


def failing(tier: str, error: TandemError, before: list[Step]) -> Run:
    good = saying("fine")
    if tier == "r1":
        return run([*before, error], good, again=good)
    return run(good, [*before, error], r1_suffices=0.1)


@table
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failure_is_answered_by_the_table(
    tier: str, error: TandemError, outcome: str, reason: str, target: str, cap: int | None, streamed: bool
) -> None:
    tried = failing(tier, error, before=[])
    if streamed:
        events = await tried.events()
        assert shown(events) == "fine"
        assert [event.WhichOneof("event") for event in events] == ["text"]
    else:
        await tried.answer()
    assert tried.result.text == "fine"
    assert tried.outcomes() == [outcome, "ANSWERED"]
    assert tried.targets()[1] == target
    (degradation,) = tried.record.degradations
    assert degradation.reason == types_pb2.DegradationReason.Value(f"DEGRADATION_REASON_{reason}")
    assert f"{degradation.to_target.tier}/{degradation.to_target.variant}" == target
    assert degradation.from_target.tier == tier
    assert (degradation.max_tokens if degradation.HasField("max_tokens") else None) == cap
    assert degradation.detail == error.message
    assert tried.record.attempts[1].purpose == types_pb2.ATTEMPT_PURPOSE_FALLBACK
    assert not tried.record.attempts[1].HasField("seam_byte_offset"), "nothing had been said"


@table
async def test_a_failure_in_the_middle_is_a_seam(
    tier: str, error: TandemError, outcome: str, reason: str, target: str, cap: int | None
) -> None:
    tried = failing(tier, error, before=[text("量子 "), text("𝒬 ", tokens=2)])
    events = await tried.events()
    assert [event.WhichOneof("event") for event in events] == ["text", "text", "seam", "text"]
    seam = events[2].seam
    assert seam.byte_offset == len("量子 𝒬 ".encode()) == 12
    assert seam.cause == types_pb2.DegradationReason.Value(f"DEGRADATION_REASON_{reason}")
    assert seam.from_target.tier == tier
    assert f"{seam.to_target.tier}/{seam.to_target.variant}" == target
    assert shown(events) == tried.result.text == "量子 𝒬 fine"
    answering = tried.r1 if target.startswith("r1") else tried.pro
    assert answering.requests[-1].continuation_prefix == "量子 𝒬 "
    # 512 were planned; the 3 that made the text so far are gone
    assert answering.requests[-1].sampling.max_tokens == min(cap or 512, 512 - 3)
    assert tried.record.attempts[0].usage.output_tokens == 3
    assert not tried.record.attempts[0].HasField("seam_byte_offset")
    assert tried.record.attempts[1].seam_byte_offset == 12
    assert tried.outcomes() == [outcome, "ANSWERED"]


async def test_a_cap_never_raises_what_the_client_asked_for() -> None:
    tried = run([DeadlineExceeded("slow")], saying("fine"))
    tried.plan.attempts[0].sampling.max_tokens = 10
    tried.attempts = Attempts(tried.asked, tried.backends, tried.record, buffered=False)
    await tried.answer()
    assert tried.pro.requests[0].sampling.max_tokens == 10
    assert not tried.record.degradations[0].HasField("max_tokens"), "it is no shorter than planned"


async def test_reasoning_is_not_carried_over_as_answer() -> None:
    tried = run([thought("hm"), OutOfMemory("full")], [], again=saying("fine"))
    events = await tried.events()
    assert [event.WhichOneof("event") for event in events] == ["reasoning", "seam", "text"]
    assert events[1].seam.byte_offset == 0
    assert tried.r1.requests[1].continuation_prefix == ""
    assert tried.r1.requests[1].sampling.max_tokens == 512


@given(st.lists(st.text(max_size=4), max_size=5), st.lists(st.text(min_size=1, max_size=4), max_size=5))
def test_the_parts_join_at_the_offset(before: list[str], after: list[str]) -> None:
    async def check() -> None:
        tried = run([*map(text, before), BackendUnavailable("dead")], saying(*after))
        events = await tried.events()
        whole = shown(events)
        assert whole == tried.result.text == "".join(before) + "".join(after)
        seams = [event.seam for event in events if event.HasField("seam")]
        assert len(seams) == bool("".join(before))
        for seam in seams:
            assert whole.encode()[: seam.byte_offset].decode() == "".join(before)

    virtual_time.run(check())


# --- what is not repaired


@pytest.mark.parametrize(
    "error",
    [
        BackendError("odd"),
        PromptTooLong("long"),
        ModalityUnsupported("blind"),
        InvalidRequest("bad"),
        InternalError("defect"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_anything_else_is_raised_unchanged(error: TandemError, streamed: bool) -> None:
    tried = run([text("x"), error], saying("fine"))
    with pytest.raises(type(error)) as caught:
        await (tried.events() if streamed else tried.answer())
    assert caught.value is error
    assert tried.outcomes() == ["FAILED"]
    assert tried.pro.requests == []
    (attempt,) = tried.record.attempts
    assert (attempt.error_reason, attempt.error_message) == (error.reason, error.message)


async def test_a_service_with_another_catalogue_is_as_good_as_away() -> None:
    tried = run([UnknownVariant("there is no bf16")], saying("fine"))
    await tried.answer()
    assert tried.outcomes() == ["UNAVAILABLE", "ANSWERED"]
    (degradation,) = tried.record.degradations
    assert degradation.reason == types_pb2.DEGRADATION_REASON_UNAVAILABLE
    assert "another catalogue" in degradation.detail


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_defect_is_raised_and_booked(streamed: bool) -> None:
    tried = run([ValueError("defect")], saying("fine"))
    with pytest.raises(ValueError, match="defect"):
        await (tried.events() if streamed else tried.answer())
    assert tried.outcomes() == ["FAILED"]


async def test_cancelled_by_the_backend_is_no_failure_to_repair() -> None:
    tried = run([Cancelled("gone")], saying("fine"))
    with pytest.raises(Cancelled):
        await tried.answer()
    assert tried.outcomes() == ["CANCELLED"]


@pytest.mark.parametrize(
    ("max_attempts", "retries_left", "attempts"),
    [
        (1, None, 1),
        (2, None, 2),
        (3, None, 3),
        (9, None, 3),  # fp16, pro, int8: nothing else is left to try
        (3, 0, 1),
        (3, 1, 2),
        (1, 8, 1),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_attempts_are_bounded(
    max_attempts: int, retries_left: int | None, attempts: int, streamed: bool
) -> None:
    tried = run(
        [BackendUnavailable("r1")],
        [BackendUnavailable("pro")],
        max_attempts=max_attempts,
        retries_left=retries_left,
    )
    # pro falls back to r1/fp16, which was tried; then r1 fails again as int8
    tried.plan.fallbacks.add(
        on=types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE,
        from_tier="pro",
        target=types_pb2.Target(tier="r1", variant="int8"),
    )
    with pytest.raises(BackendUnavailable):
        await (tried.events() if streamed else tried.answer())
    assert len(tried.record.attempts) == attempts
    assert [a.index for a in tried.record.attempts] == list(range(attempts))
    assert len(set(tried.targets())) == attempts


async def test_the_error_is_that_of_the_last_attempt() -> None:
    tried = run([BackendUnavailable("first")], [OutOfMemory("second")])
    with pytest.raises(OutOfMemory, match="second"):
        await tried.answer()
    assert tried.outcomes() == ["UNAVAILABLE", "OUT_OF_MEMORY"]


async def test_a_fallback_needs_time_for_a_token() -> None:
    """Pro needs 220 ms, r1/int8 55 ms: with 190 ms left only int8 can answer."""
    tried = Run(
        ScriptedInference([BackendUnavailable("dead")], saying("fine")),
        ScriptedInference(saying("pro")),
        call(0.23),
    )
    await asyncio.sleep(0.03)
    await tried.answer()
    assert tried.targets() == ["r1/fp16", "r1/int8"]


async def test_without_time_the_error_is_raised() -> None:
    tried = run([BackendUnavailable("dead")], saying("fine"))
    await asyncio.sleep(9.95)
    with pytest.raises(BackendUnavailable, match="dead"):
        await tried.answer()
    assert len(tried.record.attempts) == 1


# --- the books


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_is_booked(streamed: bool) -> None:
    script: list[Step] = [
        thought("hm", tokens=3),
        text("fine", tokens=2),
        finished(6, input_tokens=11, confidence=0.25),
    ]
    tried = run(script, [])
    await (tried.events() if streamed else tried.answer())
    (attempt,) = tried.record.attempts
    assert attempt.usage == types_pb2.Usage(input_tokens=11, output_tokens=6)
    # 0.1 dollars per million tokens read, 0.3 per million made
    assert attempt.cost_nano_usd == 11 * 100 + 6 * 300
    assert (attempt.model, attempt.confidence) == ("r1", 0.25)
    assert attempt.purpose == types_pb2.ATTEMPT_PURPOSE_PRIMARY
    assert attempt.finish_reason == types_pb2.FINISH_REASON_STOP
    assert attempt.HasField("ttft_ms")
    assert attempt.usage_settled
    assert attempt.duration_ms >= attempt.ttft_ms >= 0
    assert (tried.result.text, tried.result.reasoning) == ("fine", "hm")
    assert tried.result.attempt == attempt


async def test_tokens_of_a_failed_attempt_are_paid() -> None:
    tried = run([text("a", tokens=4), BackendUnavailable("dead")], saying("fine"))
    await tried.events()
    first, second = tried.record.attempts
    assert (first.usage.output_tokens, first.cost_nano_usd) == (4, 4 * 300)
    assert (first.error_reason, first.error_message) == ("BACKEND_UNAVAILABLE", "dead")
    assert second.cost_nano_usd == 5 * 1000 + 1 * 3000


async def test_a_stream_that_just_ends_is_a_failure() -> None:
    tried = run([text("half ")], saying("whole"))
    events = await tried.events()
    assert [event.WhichOneof("event") for event in events] == ["text", "seam", "text"]
    assert tried.outcomes() == ["UNAVAILABLE", "ANSWERED"]


# --- cancelling


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelling_stops_the_tier_and_is_booked(streamed: bool) -> None:
    tried = run([text("a", tokens=2), HANG], [])
    task = asyncio.create_task(tried.events() if streamed else tried.answer())
    await tried.r1.started.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tried.r1.running == 0
    assert tried.outcomes() == ["CANCELLED"]


async def test_closing_the_stream_stops_the_tier_before_it_returns() -> None:
    tried = run([text("a", tokens=2), HANG], [])
    stream = tried.attempts.stream(tried.plan.attempts[0], tried.result)
    await anext(stream)
    await stream.aclose()
    assert tried.r1.running == 0
    assert tried.outcomes() == ["CANCELLED"]
    assert tried.record.attempts[0].cost_nano_usd == 2 * 300
