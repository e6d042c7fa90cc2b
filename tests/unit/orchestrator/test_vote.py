"""Would catch: an ensemble that fails with one voice, waits for a broken vote, or hides that something is missing."""

from __future__ import annotations

import asyncio

import pytest

from tandem.call import Call
from tandem.errors import BackendUnavailable, InternalError, OutOfMemory
from tandem.orchestrator.attempts import Attempts, Backends, Question, Result
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.record import Record
from tandem.orchestrator.retry_budget import RetryBudget
from tandem.orchestrator.vote import Vote
from tandem.v1 import types_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import HANG, ScriptedInference, Step, saying
from tests.fakes.services import FakeFusion, signals

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
