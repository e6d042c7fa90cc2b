"""Would catch: a failure that nothing or the wrong model answers, a broken join, a lost attempt or a wrong cost."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.call import Call
from tandem.clock import now
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
from tandem.orchestrator.admission import Claim
from tandem.orchestrator.attempts import Attempts, Backends, Question, Result
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.record import Record
from tandem.orchestrator.retry_budget import RetryBudget
from tandem.simulation import virtual_time
from tandem.v1 import inference_pb2, orchestrator_pb2, types_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import HANG, Piece, ScriptedInference, Step, finished, saying, text, thought
from tests.fakes.services import signals

CATALOGUE = catalogue()
Event = orchestrator_pb2.StreamGenerateResponse
R1 = types_pb2.Target(tier="r1", variant="fp16")

pytestmark = pytest.mark.virtual_time


@dataclass
class Run:
    """One request against scripted tiers."""

    r1: ScriptedInference
    pro: ScriptedInference
    call: Call
    max_attempts: int = 2
    r1_suffices: float = 0.9
    result: Result = field(default_factory=Result)

    def __post_init__(self) -> None:
        self.live = LiveModels(CATALOGUE, policy())
        planned = Planner(CATALOGUE, policy(), self.live).plan(
            question(), signals(self.r1_suffices), self.call
        )
        self.plan = planned.plan
        self.record = Record(self.call, CATALOGUE)
        tiers = {"r1": self.r1, "pro": self.pro}
        self.backends = Backends(tiers, CATALOGUE, self.live, RetryBudget(0.1), self.max_attempts)
        self.asked = Question(question(), self.plan, self.call, planned.prompt_tokens)
        self.attempts = Attempts(self.asked, self.backends, self.record, buffered=False)

    async def answer(self) -> Result:
        await self.events()
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


# --- time


async def test_the_first_attempt_ends_by_its_allowance_and_the_last_gets_the_rest() -> None:
    tried = Run(ScriptedInference([HANG]), ScriptedInference(saying("fine")), call(seconds=1.0))
    # 10 ms are the margin, half of the rest is the reserve
    assert tried.plan.attempts[0].allowance_ms == pytest.approx(495)
    await tried.answer()
    first, last = tried.record.attempts
    assert first.duration_ms == pytest.approx(495)
    assert last.started_ms == pytest.approx(495)
    assert last.allowance_ms == pytest.approx(495)
    assert tried.pro.calls[0].deadline == pytest.approx(tried.call.deadline - 0.01)


async def test_no_attempt_may_outlive_the_deadline() -> None:
    tried = run(saying("fine"), [])
    tried.plan.attempts[0].allowance_ms = 1e9
    await tried.answer()
    assert tried.r1.calls[0].deadline <= tried.call.deadline - 0.01


@pytest.mark.parametrize(("token_ms", "outcomes"), [(15, ["ANSWERED"]), (50, ["TIMEOUT", "ANSWERED"])])
async def test_what_goes_well_when_its_allowance_ends_goes_on(token_ms: int, outcomes: list[str]) -> None:
    """A token of r1 takes 10 ms. At a pace of 15 it goes on beyond its 495 ms; at 50 another model does better."""
    slow = ScriptedInference([*(text(f"w{n} ") for n in range(40)), *saying("end")], saying("fine"))
    slow.token_seconds = token_ms / 1000
    tried = Run(slow, ScriptedInference(saying("pro")), call(seconds=1.0))
    await tried.answer()
    assert tried.outcomes() == outcomes
    assert tried.result.text.startswith("w0 w1 w2 ")


async def test_what_nobody_can_replace_goes_on_to_the_end() -> None:
    """The allowance is over after 195 ms, but pro is away and int8 too: r1 gets what was reserved for them."""
    slow = [*(text(f"w{n} ") for n in range(30)), *saying("end")]
    tried = Run(ScriptedInference(slow), ScriptedInference([]), call(seconds=0.4))
    tried.r1.token_seconds = 0.01
    for model in tried.live:
        for _ in range(5):
            model.breaker.failed(types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE, 0)
    tried.live.of(R1).breaker._close()
    await tried.answer()
    assert tried.result.text.endswith("w29 end")
    assert tried.outcomes() == ["ANSWERED"]
    assert tried.record.attempts[0].duration_ms == pytest.approx(320)


@pytest.mark.parametrize("said", [[], [text("Some words. "), text("Then")]], ids=["silent", "in the middle"])
async def test_a_model_that_hangs_is_left_long_before_its_allowance_ends(said: list[Step]) -> None:
    """Without a word for 2 s, or for 1 s after one, it hangs; its allowance is 7.79 s."""
    tried = run([*said, HANG], saying("fine"))
    events = await tried.events()
    assert shown(events) == "".join(step.text for step in said if isinstance(step, Piece)) + "fine"
    assert tried.outcomes() == ["TIMEOUT", "ANSWERED"]
    waited_ms = 2000 if not said else 1000 + 2
    assert tried.record.attempts[0].duration_ms == pytest.approx(waited_ms)
    assert "hang" in tried.record.attempts[0].error_message
    assert tried.record.degradations[0].reason == types_pb2.DEGRADATION_REASON_TIMEOUT


async def test_a_model_that_nobody_can_replace_is_waited_for() -> None:
    tried = run([HANG], [], max_attempts=1)
    with pytest.raises(DeadlineExceeded):
        await tried.answer()
    assert tried.record.attempts[0].duration_ms == pytest.approx(9990)


async def test_a_model_that_became_slow_is_waited_for_longer() -> None:
    tried = run([HANG], saying("fine"))
    model = tried.live.of(R1)
    assert model.patience_ms(10) == 2000
    await tried.answer()
    assert model.patience_ms(10) == 4000
    model.hung(1.9)
    assert model.patience_ms(10) == 4000, "it hung at the same time, not again"
    for _ in range(3):
        await asyncio.sleep(1)
        model.hung(now())
    assert model.patience_ms(10) == 8000
    model.gave_token(10, 100)
    assert model.patience_ms(10) == 2000


async def test_an_answer_that_time_cuts_off_is_an_answer_that_says_so() -> None:
    tried = run([text("One sentence. "), text("And half"), HANG], [], max_attempts=1)
    events = await tried.events()
    assert shown(events) == tried.result.text == "One sentence. And half"
    assert tried.result.finish_reason == types_pb2.FINISH_REASON_LENGTH
    assert [d.reason for d in tried.record.degradations] == [types_pb2.DEGRADATION_REASON_DEADLINE]
    assert tried.call.remaining() == pytest.approx(0.01)


# --- the short answer of a fallback


async def test_a_fallback_is_sized_to_the_time_that_is_left() -> None:
    """Of 0.99 s, pro's half are 495 ms: 100 ms to r1's first token, and 39 tokens of 10 ms."""
    tried = Run(ScriptedInference(saying("short")), ScriptedInference([HANG]), call(1.0), r1_suffices=0.1)
    await tried.answer()
    assert tried.r1.requests[0].sampling.max_tokens == 39
    assert tried.record.degradations[0].max_tokens == 39


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (["A fact. ", "3.", "14 is pi. ", "And then it wou"], "A fact. 3.14 is pi."),
        (["量子计算很快。", "它使用", "量子比特！", "然后"], "量子计算很快。它使用量子比特！"),
        (["no sentence at all"], "no sentence at all"),
        (["He said “stop.” ", "Then he"], "He said “stop.”"),
    ],
)
async def test_a_short_answer_ends_at_a_sentence(words: list[str], whole: str) -> None:
    cut = [*map(text, words), finished(len(words), reason=types_pb2.FINISH_REASON_LENGTH)]
    tried = Run(ScriptedInference(cut), ScriptedInference([HANG]), call(1.0), r1_suffices=0.1)
    events = await tried.events()
    assert shown(events) == tried.result.text == whole
    assert tried.result.finish_reason == types_pb2.FINISH_REASON_LENGTH


async def test_a_short_answer_that_ends_by_itself_is_whole() -> None:
    tried = Run(
        ScriptedInference(saying("Yes. ", "It ", "is")), ScriptedInference([HANG]), call(1.0), r1_suffices=0.1
    )
    await tried.answer()
    assert tried.result.text == "Yes. It is"


# --- takeover


class Author(ScriptedInference):
    """Writes a text character by character, going on from what was shown; fails after some characters of its own."""

    def __init__(self, whole: str, failures: list[tuple[int, TandemError]]) -> None:
        super().__init__([])
        self.whole = whole
        self.failures = failures

    async def stream_infer(
        self, request: inference_pb2.InferRequest, call: Call, *, buffered: bool = False
    ) -> AsyncGenerator[Piece, None]:
        rest = self.whole.removeprefix(request.continuation_prefix)
        length, error = self.failures.pop(0) if self.failures else (len(rest), None)
        for character in rest[:length]:
            yield text(character)
        if error:
            raise error
        yield finished(len(rest))


@pytest.mark.parametrize("cut", range(9))
async def test_a_stop_string_across_the_seam_ends_the_answer(cut: int) -> None:
    """The first model has written a part of `<STOP>`; the second one completes it."""
    whole = "ab<STOP>z"
    tried = run([text(whole[:cut]), OutOfMemory("full")], [], again=saying(*whole[cut:]))
    tried.plan.attempts[0].sampling.stop.append("<STOP>")
    await tried.answer()
    if 2 < cut < 8:
        assert tried.result.text == whole[:cut] + whole[cut:7]
        assert tried.result.finish_reason == types_pb2.FINISH_REASON_STOP
    else:
        # before and behind it, a stop string is the engine's business
        assert tried.result.text == whole


async def test_nothing_is_asked_for_that_the_cap_does_not_allow() -> None:
    tried = run([text("all of it", tokens=512), BackendUnavailable("dead")], saying("more"))
    await tried.answer()
    assert tried.result.text == "all of it"
    assert tried.result.finish_reason == types_pb2.FINISH_REASON_LENGTH
    assert tried.pro.requests == []


@given(st.text(min_size=1, max_size=12), st.data())
def test_no_byte_is_lost_or_repeated_wherever_it_is_cut(whole: str, data: st.DataObject) -> None:
    """Two models fail after some characters; each one goes on from what was shown."""
    lengths = data.draw(st.lists(st.integers(0, len(whole)), min_size=2, max_size=2))

    async def check() -> None:
        r1 = Author(whole, [(lengths[0], BackendUnavailable("dead"))])
        pro = Author(whole, [(lengths[1], OutOfMemory("full"))])
        tried = Run(r1, pro, call(10), max_attempts=3)
        events = await tried.events()
        assert shown(events) == tried.result.text == whole
        seen = ""
        for event in events:
            seen += event.text.delta
            if event.HasField("seam"):
                assert event.seam.byte_offset == len(seen.encode())

    virtual_time.run(check())


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
