"""Would catch a cascade that loses its draft, shows it by mistake, spends time it has not, or counts wrongly."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from tandem.errors import BackendError, BackendUnavailable, OutOfMemory, PromptTooLong
from tandem.orchestrator.cascade_policy import TEMPLATE
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call, image, question, user
from tests.fakes.inference import HANG, ScriptedInference, Step, finished, saying, text, thought
from tests.fakes.services import signals
from tests.fakes.world import World, as_seen, kinds, reasons

PRIMARY, ESCALATION, SAMPLE = (
    types_pb2.ATTEMPT_PURPOSE_PRIMARY,
    types_pb2.ATTEMPT_PURPOSE_ESCALATION,
    types_pb2.ATTEMPT_PURPOSE_SAMPLE,
)
SURE, UNSURE = 0.95, 0.2
ESCALATED: Any = {"cascade__threshold": 1.0}
DEAD, FULL = BackendUnavailable("pro is dead"), OutOfMemory("pro is full")

pytestmark = pytest.mark.virtual_time


def world(
    r1: list[Step] | ScriptedInference | None = None, pro: list[Step] | None = None, **changes: Any
) -> World:
    return World(r1 or saying("be", "cause", confidence=SURE), pro, strategy="cascade", **changes)


def unsure(**changes: Any) -> World:
    made = world(saying("be", "cause", confidence=UNSURE), **changes)
    made.classifier.found = signals(0.4)
    return made


def purposes(answer: types_pb2.Answer) -> list[int]:
    return [attempt.purpose for attempt in answer.attempts]


def no_revisions() -> orchestrator_pb2.GenerateRequest:
    asked = question()
    asked.no_revisions = True
    return asked


# --- the gate decides


async def test_a_sure_draft_is_the_answer() -> None:
    made = world()
    answer = await made.ask()
    assert (answer.text, answer.answered_by.tier) == ("because", "r1")
    assert purposes(answer) == [PRIMARY]
    assert answer.plan.strategy == types_pb2.STRATEGY_CASCADE
    assert [planned.purpose for planned in answer.plan.attempts] == [PRIMARY, ESCALATION]
    assert not answer.gate.escalated
    # intercept -0.7, 0.5 × ln(0.95 / 0.05) = 1.472, ln(0.9 / 0.1) = 2.197: 1 / (1 + e^-2.969)
    assert answer.gate.probability == pytest.approx(0.9511, abs=1e-4)
    assert answer.confidence == answer.gate.probability
    assert made.pro.requests == []


async def test_an_unsure_draft_goes_to_the_strong_tier() -> None:
    answer = await unsure().ask()
    assert (answer.text, answer.answered_by.tier) == ("therefore", "pro")
    assert purposes(answer) == [PRIMARY, ESCALATION]
    assert answer.gate.escalated
    assert answer.gate.probability < answer.gate.threshold == 0.5
    assert answer.degradations == []
    assert answer.cost_nano_usd == (5 * 100 + 2 * 300) + (5 * 1000 + 3000)
    assert not answer.HasField("confidence")  # the script tells none


async def test_without_signals_the_draft_alone_is_judged() -> None:
    made = world()
    made.classifier.failure = BackendUnavailable("gone")
    answer = await made.ask()
    # -0.7 + 1.472: 1 / (1 + e^-0.772)
    assert answer.gate.probability == pytest.approx(0.684, abs=1e-3)
    assert not answer.gate.HasField("r1_suffices")


async def test_a_client_may_ask_for_a_cascade() -> None:
    asked = question()
    asked.strategy = types_pb2.STRATEGY_CASCADE
    answer = await World().ask(asked)
    assert answer.plan.strategy == types_pb2.STRATEGY_CASCADE


# --- what the strong tier is asked


async def test_the_strong_tier_refines_the_draft() -> None:
    made = world(**ESCALATED)
    await made.ask()
    (asked,) = made.pro.requests
    parts = [part.text for part in asked.messages[-1].parts]
    assert parts == ["why?", f"\n\n{TEMPLATE.replace('{draft}', 'because')}"]
    assert asked.attempt == made.r1.requests[0].attempt + 1
    assert [part.text for part in made.r1.requests[0].messages[-1].parts] == ["why?"]


@pytest.mark.parametrize(
    "changes",
    [{"cascade__refine": False}, {"cascade__template": "x" * 9000 + "{draft}"}],
    ids=["not wanted", "longer than its context"],
)
async def test_the_strong_tier_answers_as_if_there_were_no_draft(changes: dict[str, Any]) -> None:
    made = world(**ESCALATED, **changes)
    assert (await made.ask()).text == "therefore"
    assert [part.text for part in made.pro.requests[0].messages[-1].parts] == ["why?"]


async def test_the_draft_has_an_instruction_of_its_own() -> None:
    made = world(**ESCALATED, cascade__draft_instruction="Name the symptoms.")
    await made.ask()
    assert [m.parts[0].text for m in made.r1.requests[0].messages] == ["Name the symptoms.", "why?"]
    assert [m.role for m in made.pro.requests[0].messages] == [types_pb2.ROLE_USER]


# --- self-consistency


async def test_samples_tell_the_gate_how_far_drafts_agree() -> None:
    drafts = ScriptedInference(saying("A", confidence=SURE), saying("B"), saying("A"))
    made = world(drafts, cascade__samples=2)
    answer = await made.ask()
    assert purposes(answer) == [PRIMARY, SAMPLE, SAMPLE]
    assert answer.gate.agreement == pytest.approx(2 / 3)
    assert answer.text == "A"
    (asked,) = made.fusion.requests
    assert sorted(candidate.text for candidate in asked.candidates) == ["A", "A", "B"]
    assert made.r1.most_running == 3
    drawn = [request.sampling.temperature for request in made.r1.requests]
    assert drawn == pytest.approx([0.7, 0.7, 0.3]) or drawn == pytest.approx([0.3, 0.7, 0.7])


@pytest.mark.parametrize("broken", ["samples", "vote"])
async def test_what_only_helps_the_gate_may_fail(broken: str) -> None:
    more: list[Step] = [BackendError("odd")] if broken == "samples" else saying("A")
    made = world(ScriptedInference(saying("A", confidence=SURE), more), cascade__samples=2)
    made.fusion.hangs = broken == "vote"
    answer = await made.ask()
    assert (answer.text, reasons(answer)) == ("A", [])
    assert not answer.gate.HasField("agreement")


async def test_samples_do_not_use_up_the_attempts_of_the_draft() -> None:
    drafts = ScriptedInference([BackendUnavailable("dead")], saying("A"))
    answer = await world(drafts, cascade__samples=3).ask()
    assert answer.text == "therefore"
    assert reasons(answer) == ["UNAVAILABLE"]


# --- whatever happens to the second step, there is an answer


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (DEAD, "UNAVAILABLE"),
        (FULL, "OUT_OF_MEMORY"),
        (BackendError("odd"), "ESCALATION_FAILED"),
        (PromptTooLong("long"), "ESCALATION_FAILED"),
        (HANG, "TIMEOUT"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_draft_answers_when_the_strong_tier_fails(
    failure: Step, reason: str, streamed: bool
) -> None:
    made = world(pro=[failure], **ESCALATED)
    if streamed:
        events = await made.events()
        assert kinds(events) == ["started", "text", "finished"]
        answer = events[-1].finished.answer
        assert as_seen(events) == "because"
    else:
        answer = await made.ask()
        assert answer.text == "because"
    assert answer.answered_by.tier == "r1"
    assert reasons(answer) == [reason]
    (degradation,) = answer.degradations
    assert (degradation.from_target.tier, degradation.to_target.tier) == ("pro", "r1")
    assert answer.gate.escalated
    assert purposes(answer) == [PRIMARY, ESCALATION]


async def test_an_empty_answer_of_the_strong_tier_is_none() -> None:
    answer = await world(pro=[finished(0)], **ESCALATED).ask()
    assert (answer.text, reasons(answer)) == ("because", ["ESCALATION_FAILED"])


async def test_a_strong_tier_that_hangs_is_not_waited_for_to_the_end() -> None:
    made = world(pro=[HANG], **ESCALATED)
    answer = await made.ask(seconds=30)
    assert answer.duration_ms < 3000  # the policy's patience is 2 s


@pytest.mark.parametrize("stream", ["hold", "revise"])
async def test_text_of_a_strong_tier_that_dies_is_taken_back(stream: str) -> None:
    made = world(pro=[text("there"), DEAD], **ESCALATED, cascade__stream=stream)
    events = await made.events(seconds=30)
    shown = ["text", "revision"] if stream == "hold" else ["text", "text"]
    assert kinds(events) == ["started", *shown, "finished"]
    assert as_seen(events) == "because"


async def test_a_draft_that_is_late_leaves_no_time() -> None:
    slow: list[Step] = [text("be"), *[text("x") for _ in range(60)], finished(61, confidence=UNSURE)]
    made = world(slow, **ESCALATED)
    made.r1.token_seconds = 0.019
    answer = await made.ask(seconds=1.6)
    assert answer.text.startswith("be")
    assert reasons(answer) == ["DEADLINE"]
    assert answer.gate.escalated
    assert made.pro.requests == []
    assert answer.duration_ms < 1600


async def test_a_deadline_without_time_for_two_steps_gets_one() -> None:
    # A draft and an answer of 8 tokens need 100 + 80 and 200 + 160 ms.
    answer = await world().ask(seconds=0.5)
    assert answer.plan.strategy == types_pb2.STRATEGY_ROUTE
    assert (answer.text, reasons(answer)) == ("because", ["DEADLINE"])
    assert not answer.HasField("gate")


async def test_the_plan_keeps_time_for_the_second_step() -> None:
    answer = await world().ask(seconds=10)
    # 100 tokens of pro: 200 + 100 × 20 ms
    assert answer.plan.reserve_ms == pytest.approx(2200)
    draft, second = answer.plan.attempts
    assert draft.allowance_ms == pytest.approx(answer.plan.deadline_ms - 10 - 2200)
    assert second.allowance_ms == pytest.approx(2200)


async def test_a_draft_that_fails_is_replaced_as_everywhere() -> None:
    made = world([BackendUnavailable("dead")])
    answer = await made.ask()
    assert (answer.text, reasons(answer)) == ("therefore", ["UNAVAILABLE"])
    assert not answer.HasField("gate")
    assert len(made.pro.requests) == 1


async def test_an_error_that_nothing_repairs_is_raised() -> None:
    with pytest.raises(BackendError):
        await world([BackendError("odd")]).ask()


# --- who may not


@pytest.mark.parametrize(("probability", "reason"), [(0.9, []), (0.1, ["NOT_ENTITLED"])])
async def test_a_tenant_of_one_tier_gets_that_one(probability: float, reason: list[str]) -> None:
    made = world()
    made.classifier.found = signals(probability)
    answer = await made.ask(tenant="cheap")
    assert answer.plan.strategy == types_pb2.STRATEGY_ROUTE
    assert (answer.answered_by.tier, reasons(answer)) == ("r1", reason)


async def test_pictures_go_to_the_tier_that_reads_them() -> None:
    answer = await world().ask(orchestrator_pb2.GenerateRequest(messages=[image()]))
    assert (answer.answered_by.tier, answer.plan.strategy) == ("pro", types_pb2.STRATEGY_ROUTE)


# --- streams


async def test_a_held_draft_is_shown_when_it_has_passed() -> None:
    events = await world([thought("hm"), text("be"), text("cause"), finished(3, confidence=SURE)]).events()
    assert kinds(events) == ["started", "reasoning", "text", "finished"]
    assert events[1].reasoning.delta == "hm"
    assert events[2].text.delta == "because"


async def test_a_held_draft_is_never_shown_when_it_fails() -> None:
    made = world(pro=saying("there", "fore"), **ESCALATED)
    events = await made.events(seconds=30)
    assert kinds(events) == ["started", "text", "text", "finished"]
    assert as_seen(events) == "therefore"
    assert made.pro.buffered == [False]


async def test_a_shown_draft_is_replaced_by_one_event() -> None:
    events = await world(
        pro=[thought("so"), *saying("there", "fore")], **ESCALATED, cascade__stream="revise"
    ).events()
    assert kinds(events) == ["started", "text", "text", "revision", "finished"]
    whole = events[3].revision
    assert (whole.text, whole.reasoning, whole.answered_by.tier) == ("therefore", "so", "pro")


async def test_a_shown_draft_that_passes_is_not_shown_again() -> None:
    events = await world(cascade__stream="revise").events()
    assert kinds(events) == ["started", "text", "text", "finished"]


@pytest.mark.parametrize("stream", ["hold", "revise"])
@pytest.mark.parametrize("pro", [saying("there", "fore"), [text("there"), DEAD]])
async def test_who_cannot_be_told_to_forget_sees_only_what_stays(stream: str, pro: list[Step]) -> None:
    made = world(pro=pro, **ESCALATED, cascade__stream=stream)
    events = await made.events(no_revisions())
    assert kinds(events) == ["started", "text", "finished"]
    assert as_seen(events) == ("therefore" if len(pro) == 3 else "because")


@pytest.mark.parametrize("step", ["draft", "second"])
async def test_a_client_that_goes_away_stops_the_step_under_way(step: str) -> None:
    hangs: list[Step] = [HANG]
    made = world(hangs if step == "draft" else None, hangs, **ESCALATED, cascade__samples=1)
    running = asyncio.create_task(made.ask())
    busy = made.r1 if step == "draft" else made.pro
    await busy.started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0)
    assert (made.r1.running, made.pro.running) == (0, 0)
    (entry,) = made.ledger.entries
    assert entry.reason == "CANCELLED"


async def test_leaving_a_stream_in_the_middle_of_the_second_step_stops_it() -> None:
    made = world(pro=[text("there"), HANG], **ESCALATED)
    async with aclosing(made.orchestrator.stream_generate(question(), call(30))) as events:
        assert kinds([await anext(events), await anext(events)]) == ["started", "text"]
    assert made.pro.running == 0


# --- what is kept and counted


async def test_a_cascade_is_kept_unless_it_is_degraded() -> None:
    cool = orchestrator_pb2.GenerateRequest(messages=[user()], sampling=types_pb2.Sampling(temperature=0.2))
    made = world(cascade__samples=1)
    assert [(await made.ask(cool)).cache for _ in range(2)] == [
        types_pb2.CACHE_OUTCOME_MISS,
        types_pb2.CACHE_OUTCOME_HIT,
    ]
    broken = world(pro=[DEAD], **ESCALATED)
    assert [(await broken.ask(cool)).cache for _ in range(2)] == [types_pb2.CACHE_OUTCOME_MISS] * 2


@pytest.mark.parametrize(("changes", "share"), [({}, 0.0), (ESCALATED, 1.0)])
async def test_the_share_counts_cascades_that_asked_the_strong_tier(
    changes: dict[str, Any], share: float
) -> None:
    made = world(routing__target={"share": 0.5}, **changes)
    for number in range(4):
        await made.ask(question(f"why {number}?"))
    planned = await made.orchestrator.explain(question(), call())
    assert planned.plan.share_control.measured == share
    assert planned.plan.share_control.measured_requests == 4


async def test_the_ledger_has_both_steps() -> None:
    made = world(**ESCALATED)
    await made.ask()
    (entry,) = made.ledger.entries
    assert [attempt.purpose for attempt in entry.answer.attempts] == [PRIMARY, ESCALATION]
    assert entry.answer.gate.escalated
