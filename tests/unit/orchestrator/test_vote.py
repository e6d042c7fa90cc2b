"""Would catch: an ensemble that fails with one voice, waits for a broken vote, or hides that something is missing."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from tandem.call import Call
from tandem.errors import BackendUnavailable, InternalError, OutOfMemory
from tandem.orchestrator.attempts import Attempts, Backends, Question, Result
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.record import Record
from tandem.orchestrator.retry_budget import RetryBudget
from tandem.orchestrator.vote import Vote, expected_correctness, same_answer
from tandem.v1 import types_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import HANG, ScriptedInference, Step, saying, text, thought
from tests.fakes.services import FakeFusion, signals
from tests.fakes.world import World, as_seen, kinds, reasons

CATALOGUE = catalogue()
DEAD = BackendUnavailable("r1 is dead")
FULL = OutOfMemory("pro is full")

pytestmark = pytest.mark.virtual_time


class Ensemble:
    """A vote of r1 and pro."""

    def __init__(
        self, r1: list[Step], pro: list[Step], fusion: FakeFusion | None = None, asked: Call | None = None
    ) -> None:
        self.r1, self.pro = ScriptedInference(r1), ScriptedInference(pro)
        self.fusion = fusion or FakeFusion()
        self.call = asked or call()
        self.record = Record(self.call, CATALOGUE)
        decides = policy({"strategy": "ensemble"})
        live = LiveModels(CATALOGUE, decides)
        self.plan = Planner(CATALOGUE, decides, live).plan(question(), signals(), self.call).plan
        backends = Backends({"r1": self.r1, "pro": self.pro}, CATALOGUE, live, RetryBudget(0.1), 2)
        what = Question(question(), self.plan, self.call, prompt_tokens=10)
        attempts = Attempts(what, backends, self.record, buffered=True)
        self.vote = Vote(attempts, self.record, self.fusion, decides.ensemble.fuse_ms)

    async def run(self, found: types_pb2.Signals | None = None) -> Result:
        return await self.vote.run(self.plan, found, self.call)

    def degradations(self) -> list[str]:
        names = (types_pb2.DegradationReason.Name(d.reason) for d in self.record.degradations)
        return [name.removeprefix("DEGRADATION_REASON_") for name in names]


@pytest.mark.parametrize(("winner", "text"), [(0, "yes"), (1, "no")])
async def test_the_winner_answers(winner: int, text: str) -> None:
    ensemble = Ensemble(saying("yes"), saying("no"), FakeFusion(winner))
    result = await ensemble.run()
    assert result.text == text
    assert result.attempt.target.tier == ("r1", "pro")[winner]
    assert ensemble.vote.outcome is not None
    assert ensemble.vote.outcome.winner == winner
    assert ensemble.degradations() == []
    assert len(ensemble.record.attempts) == 2


async def test_the_vote_knows_candidates_and_signals() -> None:
    ensemble = Ensemble(saying("yes", confidence=0.25), saying("no"))
    await ensemble.run(signals())
    (asked,) = ensemble.fusion.requests
    assert [(c.target.tier, c.text) for c in asked.candidates] == [("r1", "yes"), ("pro", "no")]
    assert asked.candidates[0].confidence == 0.25
    assert not asked.candidates[1].HasField("confidence")
    assert (asked.domain, asked.task) == (types_pb2.DOMAIN_SCIENCE, types_pb2.TASK_FACTUAL)


async def test_without_signals_the_vote_is_undecided() -> None:
    ensemble = Ensemble(saying("yes"), saying("no"))
    await ensemble.run()
    assert (ensemble.fusion.requests[0].domain, ensemble.fusion.requests[0].task) == (0, 0)


async def test_the_voices_answer_at_the_same_time() -> None:
    turn = asyncio.Event()
    ensemble = Ensemble([turn, *saying("yes")], saying("no"))
    running = asyncio.create_task(ensemble.run())
    await ensemble.pro.stopped.wait()
    assert ensemble.r1.running == 1
    turn.set()
    await running


async def test_a_missing_voice_is_told() -> None:
    ensemble = Ensemble([DEAD], saying("no"))
    result = await ensemble.run()
    assert result.text == "no"
    assert ensemble.degradations() == ["VOTE_MISSING"]
    (degradation,) = ensemble.record.degradations
    assert (degradation.from_target.tier, degradation.detail) == ("r1", "r1 is dead")


async def test_a_voice_that_hangs_does_not_hold_up_the_others() -> None:
    ensemble = Ensemble([HANG], saying("no"), asked=call(seconds=0.3))
    assert (await ensemble.run()).text == "no"
    assert ensemble.call.remaining() > 0
    assert ensemble.degradations() == ["VOTE_MISSING"]


async def test_when_all_are_missing_the_first_error_is_raised() -> None:
    ensemble = Ensemble([DEAD], [FULL])
    with pytest.raises(BackendUnavailable) as caught:
        await ensemble.run()
    assert caught.value is DEAD
    assert ensemble.fusion.requests == []
    assert len(ensemble.record.attempts) == 2


async def test_a_defect_in_a_voice_is_raised() -> None:
    with pytest.raises(ValueError, match="defect"):
        await Ensemble([ValueError("defect")], saying("no")).run()


@pytest.mark.parametrize(
    "failure", [BackendUnavailable("fusion is dead"), InternalError("odd"), ValueError("defect")]
)
async def test_a_broken_vote_gives_the_most_confident_answer(failure: Exception) -> None:
    ensemble = Ensemble(saying("yes", confidence=0.2), saying("no", confidence=0.9))
    ensemble.fusion.failure = failure
    assert (await ensemble.run()).text == "no"
    assert ensemble.vote.outcome is None
    assert ensemble.degradations() == ["FUSION"]
    assert str(failure) in ensemble.record.degradations[0].detail


async def test_a_winner_that_does_not_exist_is_a_broken_vote() -> None:
    ensemble = Ensemble(saying("yes"), saying("no"), FakeFusion(winner=7))
    assert (await ensemble.run()).text == "yes"
    assert ensemble.degradations() == ["FUSION"]
    assert ensemble.vote.outcome is None


async def test_a_vote_that_hangs_is_not_waited_for() -> None:
    ensemble = Ensemble(saying("yes"), saying("no"), asked=call(seconds=30))
    ensemble.fusion.hangs = True
    assert (await ensemble.run()).text == "yes"
    assert 29.8 < ensemble.call.remaining() < 30


async def test_a_vote_that_hangs_leaves_time_to_answer() -> None:
    ensemble = Ensemble(saying("yes"), saying("no"), asked=call(seconds=0.3))
    ensemble.fusion.hangs = True
    assert (await ensemble.run()).text == "yes"
    # the margin of 10 ms is what is left to send the answer
    assert ensemble.call.remaining() > 0
    assert ensemble.degradations() == ["FUSION"]


async def test_cancelling_stops_every_voice() -> None:
    ensemble = Ensemble([HANG], [HANG])
    running = asyncio.create_task(ensemble.run())
    await asyncio.gather(ensemble.r1.started.wait(), ensemble.pro.started.wait())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (ensemble.r1.running, ensemble.pro.running) == (0, 0)
    assert {a.outcome for a in ensemble.record.attempts} == {types_pb2.ATTEMPT_OUTCOME_CANCELLED}


# --- streams: the first voice leads


def streamed(r1: list[Step], pro: list[Step], winner: int, **changes: Any) -> World:
    made = World(r1, pro, strategy="ensemble", **changes)
    made.fusion.winner = winner
    return made


async def test_the_first_voice_is_shown_while_the_others_answer() -> None:
    turn = asyncio.Event()
    made = streamed(saying("be", "cause"), [turn, *saying("therefore")], 0)
    async with aclosing(made.orchestrator.stream_generate(question(), call())) as events:
        assert kinds([await anext(events) for _ in range(3)]) == ["started", "text", "text"]
        assert made.pro.running == 1
        turn.set()
        assert kinds([event async for event in events]) == ["finished"]
    assert (made.r1.buffered, made.pro.buffered) == ([False], [True])


async def test_a_vote_that_overturns_it_is_one_event() -> None:
    made = streamed(saying("be", "cause"), [thought("so"), *saying("therefore")], 1)
    events = await made.events()
    assert kinds(events) == ["started", "text", "text", "revision", "finished"]
    whole, answer = events[3].revision, events[4].finished.answer
    assert (whole.text, whole.reasoning, whole.answered_by.tier) == ("therefore", "so", "pro")
    assert (answer.answered_by.tier, answer.fusion.winner) == ("pro", 1)


async def test_a_winner_that_says_the_same_overturns_nothing() -> None:
    made = streamed(saying("B"), saying("B"), 1)
    events = await made.events()
    assert kinds(events) == ["started", "text", "finished"]
    answer = events[-1].finished.answer
    assert (answer.answered_by.tier, answer.fusion.winner) == ("r1", 0)


@pytest.mark.parametrize(
    ("r1", "expected"),
    [
        ([DEAD], ["started", "text", "finished"]),
        ([text("be"), DEAD], ["started", "text", "revision", "finished"]),
    ],
)
async def test_a_first_voice_that_fails(r1: list[Step], expected: list[str]) -> None:
    events = await streamed(r1, saying("therefore"), 0).events()
    assert kinds(events) == expected
    assert as_seen(events) == "therefore"
    assert reasons(events[-1].finished.answer) == ["VOTE_MISSING"]


async def test_when_all_fail_the_first_error_ends_the_stream() -> None:
    made = streamed([DEAD], [FULL], 0)
    with pytest.raises(BackendUnavailable, match="r1 is dead"):
        await made.events()


@pytest.mark.parametrize("way", ["client", "policy"])
async def test_who_cannot_be_told_to_forget_waits_for_the_vote(way: str) -> None:
    asked = question()
    asked.no_revisions = way == "client"
    made = streamed(
        saying("be", "cause"), saying("therefore"), 1, ensemble__stream="hold" if way == "policy" else "lead"
    )
    events = await made.events(asked)
    assert kinds(events) == ["started", "text", "finished"]
    assert as_seen(events) == "therefore"


async def test_a_client_that_leaves_stops_all_voices() -> None:
    hangs: list[Step] = [text("be"), HANG]
    made = streamed(hangs, [HANG], 0)
    async with aclosing(made.orchestrator.stream_generate(question(), call())) as events:
        assert kinds([await anext(events), await anext(events)]) == ["started", "text"]
    assert (made.r1.running, made.pro.running) == (0, 0)


async def test_followers_of_a_stream_get_the_revision_too() -> None:
    made = streamed(saying("be", "cause"), saying("therefore"), 1, cache__max_temperature=2.0)
    first, second = await asyncio.gather(made.events(), made.events())
    assert as_seen(first) == as_seen(second) == "therefore"
    assert len(made.pro.requests) == 1
    (again,) = [event for event in await made.events() if event.HasField("text")]
    assert again.text.delta == "therefore"


def test_what_is_not_comparable_is_not_the_same() -> None:
    empty = types_pb2.Fusion(ballots=[types_pb2.Ballot(), types_pb2.Ballot()])
    assert same_answer(empty, 1, 1)
    assert not same_answer(empty, 0, 1)


def test_what_a_vote_does_not_tell_is_unknown() -> None:
    assert expected_correctness(types_pb2.Fusion()) is None
