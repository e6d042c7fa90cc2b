"""Would catch: a failure that nothing or the wrong model answers, a broken join, a lost attempt or a wrong cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.call import Call
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
from tandem.orchestrator.attempts import Attempts, Backends, Record, Result
from tandem.orchestrator.planning import Planner
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import HANG, ScriptedInference, Step, finished, saying, text, thought
from tests.fakes.services import signals

CATALOGUE = catalogue()
Event = orchestrator_pb2.StreamGenerateResponse

pytestmark = pytest.mark.virtual_time


@dataclass
class Run:
    """One request against scripted tiers."""

    r1: ScriptedInference
    pro: ScriptedInference
    call: Call
    max_attempts: int = 2
    r1_suffices: float = 0.9
    record: Record = field(default_factory=Record)
    result: Result = field(default_factory=lambda: Result(types_pb2.Attempt()))

    def __post_init__(self) -> None:
        planner = Planner(CATALOGUE, policy())
        found = signals(self.r1_suffices)
        plan, _ = planner.plan(question(), found, "anonymous", self.call.remaining() * 1000)
        self.plan = plan
        backends = Backends({"r1": self.r1, "pro": self.pro}, CATALOGUE, self.max_attempts)
        self.attempts = Attempts(question(), plan, self.call, backends, self.record)

    async def answer(self) -> Result:
        self.result = await self.attempts.answer(self.plan.attempts[0])
        return self.result

    async def events(self) -> list[Event]:
        return [event async for event in self.stream()]

    async def stream(self) -> AsyncIterator[Event]:
        async with aclosing(self.attempts.stream(self.plan.attempts[0], self.result)) as events:
            async for event in events:
                yield event

    def targets(self) -> list[str]:
        return [f"{a.target.tier}/{a.target.variant}" for a in self.record.attempts]

    def outcomes(self) -> list[str]:
        return [
            types_pb2.AttemptOutcome.Name(a.outcome).removeprefix("ATTEMPT_OUTCOME_")
            for a in self.record.attempts
        ]


def run(
    r1: list[Step],
    pro: list[Step],
    *,
    again: list[Step] | None = None,
    r1_suffices: float = 0.9,
    **options: int | None,
) -> Run:
    """Return a run; `again` is what r1 does with its second request."""
    retries_left, max_attempts = options.get("retries_left"), options.get("max_attempts") or 2
    first = ScriptedInference(r1, again) if again else ScriptedInference(r1)
    asked = call(seconds=10, retries_left=retries_left)
    return Run(first, ScriptedInference(pro), asked, max_attempts, r1_suffices)


def shown(events: list[Event]) -> str:
    return "".join(event.text.delta for event in events)


# --- the table of fallbacks: who fails how, who answers, with which cap

FAILURES: list[tuple[str, TandemError, str, str, str, int | None]] = [
    ("r1", DeadlineExceeded("slow"), "TIMEOUT", "TIMEOUT", "pro/bf16", 256),
    ("r1", OutOfMemory("full"), "OUT_OF_MEMORY", "OUT_OF_MEMORY", "r1/int8", None),
    ("r1", BackendUnavailable("dead"), "UNAVAILABLE", "UNAVAILABLE", "pro/bf16", None),
    ("r1", Draining("going"), "UNAVAILABLE", "UNAVAILABLE", "pro/bf16", None),
    ("pro", DeadlineExceeded("slow"), "TIMEOUT", "TIMEOUT", "r1/fp16", 256),
    ("pro", OutOfMemory("full"), "OUT_OF_MEMORY", "OUT_OF_MEMORY", "r1/int8", None),
    ("pro", BackendUnavailable("dead"), "UNAVAILABLE", "UNAVAILABLE", "r1/fp16", None),
    ("pro", Draining("going"), "UNAVAILABLE", "UNAVAILABLE", "r1/fp16", None),
]
table = pytest.mark.parametrize(("tier", "error", "outcome", "reason", "target", "cap"), FAILURES)
"""Every row of the policy's fallbacks."""


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
    assert answering.requests[-1].sampling.max_tokens == (cap or 512)
    assert tried.record.attempts[0].usage.output_tokens == 3
    assert tried.outcomes() == [outcome, "ANSWERED"]


async def test_a_cap_never_raises_what_the_client_asked_for() -> None:
    tried = run([DeadlineExceeded("slow")], saying("fine"))
    tried.plan.attempts[0].sampling.max_tokens = 10
    await tried.answer()
    assert tried.pro.requests[0].sampling.max_tokens == 10
    assert tried.record.degradations[0].max_tokens == 10


async def test_reasoning_alone_makes_no_seam() -> None:
    tried = run([thought("hm"), OutOfMemory("full")], [], again=saying("fine"))
    assert [event.WhichOneof("event") for event in await tried.events()] == ["reasoning", "text"]
    assert tried.r1.requests[1].continuation_prefix == ""


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

    asyncio.run(check())


# --- what is not repaired


@pytest.mark.parametrize(
    "error",
    [
        BackendError("odd"),
        PromptTooLong("long"),
        ModalityUnsupported("blind"),
        UnknownVariant("which"),
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
    """Pro needs 220 ms, r1/int8 55 ms: with 110 ms left only int8 can answer."""
    tried = Run(
        ScriptedInference([BackendUnavailable("dead")], saying("fine")),
        ScriptedInference(saying("pro")),
        call(0.12),
    )
    await tried.answer()
    assert tried.targets() == ["r1/fp16", "r1/int8"]


async def test_without_time_the_error_is_raised() -> None:
    tried = run([BackendUnavailable("dead")], saying("fine"))
    tried.attempts._end = 0.0
    with pytest.raises(BackendUnavailable, match="dead"):
        await tried.answer()
    assert len(tried.record.attempts) == 1


# --- time


async def test_the_first_attempt_ends_by_its_allowance_and_the_last_gets_the_rest() -> None:
    asked = call(seconds=0.3)
    tried = Run(ScriptedInference([HANG]), ScriptedInference(saying("fine")), asked)
    tried.plan.attempts[0].allowance_ms = 20
    await tried.answer()
    first, last = tried.r1.calls[0], tried.pro.calls[0]
    assert first.deadline == pytest.approx(asked.started + 0.02, abs=0.05)
    assert last.deadline == pytest.approx(asked.deadline - 0.01)
    assert last.deadline <= asked.deadline - 0.01
    assert tried.record.attempts[0].duration_ms >= 19
    assert tried.record.attempts[1].started_ms >= tried.record.attempts[0].duration_ms - 1


async def test_no_attempt_may_outlive_the_deadline() -> None:
    tried = run(saying("fine"), [])
    tried.plan.attempts[0].allowance_ms = 1e9
    await tried.answer()
    assert tried.r1.calls[0].deadline <= tried.call.deadline - 0.01


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
    assert attempt.HasField("ttft_ms") is streamed
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
