"""The strategy `ensemble`: several answers side by side, fused into one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from tandem.call import Call
from tandem.clock import now
from tandem.errors import TandemError
from tandem.orchestrator.attempts import Attempts, Event, Result, deltas, revision
from tandem.orchestrator.course import Slot
from tandem.orchestrator.record import Record
from tandem.protocols import Fusion
from tandem.v1 import fusion_pb2, types_pb2

Voice = Result | BaseException


class Vote:
    """One vote; `outcome` is set after `run` or `stream` when the voices were fused.

    Fusion has `fuse_ms` milliseconds: one that hangs does not hold up answers that are there.
    """

    def __init__(self, attempts: Attempts, record: Record, fusion: Fusion, fuse_ms: float) -> None:
        self._attempts = attempts
        self._record = record
        self._fusion = fusion
        self._fuse_ms = fuse_ms
        self.outcome: types_pb2.Fusion | None = None
        """How the vote went; None: there was none."""
        self.result = Result()
        """The answer, after `stream`."""

    async def run(self, plan: types_pb2.Plan, signals: types_pb2.Signals | None, call: Call) -> Result:
        """Return the answer that wins among the voices that came in time.

        Raises:
            TandemError: of the first voice, if none came and nothing may replace it.
        """
        voices = await asyncio.gather(
            *(self._attempts.once(planned) for planned in plan.attempts), return_exceptions=True
        )
        return await self._decide(plan, voices, signals, call)

    async def stream(
        self, leading: Attempts, plan: types_pb2.Plan, signals: types_pb2.Signals | None, call: Call
    ) -> AsyncGenerator[Event, None]:
        """Yield the first voice as it answers, and the vote if that overturns it; `result` is then the answer.

        A winner that says the same as the first voice overturns nothing: what was shown stays.

        Args:
            leading: runs the first voice, along which the client reads.
            plan: all voices.
            signals: what the classifier found, or None.
            call: who asks, and until when.

        Raises:
            TandemError: as `run`.
        """
        first, *others = plan.attempts
        shown = Result()
        leader: Voice = shown
        tasks = [asyncio.create_task(self._attempts.once(planned)) for planned in others]
        try:
            try:
                async with aclosing(leading.alone(first, shown)) as events:
                    async for event in events:
                        yield event
            except TandemError as error:
                leader = error
            heard = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await stop(tasks)
        self.result = await self._decide(plan, [leader, *heard], signals, call)
        if self.result is shown:
            return
        if leader is shown and self.outcome and same_answer(self.outcome, 0, self.outcome.winner):
            self.outcome.winner, self.result = 0, shown
        elif shown.joined.begun:
            yield revision(self.result)
        else:
            for event in deltas(self.result.text, self.result.reasoning):
                yield event

    async def _decide(
        self, plan: types_pb2.Plan, voices: Sequence[Voice], signals: types_pb2.Signals | None, call: Call
    ) -> Result:
        """Return the answer that wins among the voices that came; raises as `run`."""
        results: list[Result] = []
        for planned, voice in zip(plan.attempts, voices, strict=True):
            if isinstance(voice, Result):
                results.append(voice)
            elif isinstance(voice, TandemError):
                self._missing(planned.target, voice)
            else:
                raise voice
        if not results:
            first = voices[0]
            assert isinstance(first, TandemError)  # noqa: S101 - no voice is a result, and others were raised
            raise first
        end = min(call.deadline - plan.margin_ms / 1000.0, now() + self._fuse_ms / 1000.0)
        return await self._fuse(results, signals, call.until(end, Slot.FUSE))

    async def _fuse(self, results: list[Result], signals: types_pb2.Signals | None, call: Call) -> Result:
        request = fusion_pb2.FuseRequest(candidates=map(candidate, results))
        if signals is not None:
            request.domain, request.task = signals.domain.value, signals.task.value
        try:
            with self._record.course.phase(Slot.FUSE):
                async with asyncio.timeout_at(call.deadline):
                    response = await self._fusion.fuse(request, call)
                winner = results[response.fusion.winner]
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the vote, there are answers
            best = max(results, key=lambda result: result.attempt.confidence)
            what = str(error) or "it was late"
            detail = f"the vote failed ({what}); the answer with the highest confidence was taken"
            self._record.degrade(types_pb2.DEGRADATION_REASON_FUSION, detail, to_target=best.attempt.target)
            return best
        self.outcome = response.fusion
        return winner

    def _missing(self, target: types_pb2.Target, error: TandemError) -> None:
        self._record.degrade(types_pb2.DEGRADATION_REASON_VOTE_MISSING, error.message, target)


def same_answer(fusion: types_pb2.Fusion, one: int, other: int) -> bool:
    """Return whether two candidates of a vote said the same: by its groups, where it tells them, else by the forms."""
    groups = _told(fusion).get("groups", ())
    if groups or one == other:
        return one == other or any({one, other} <= set(group.candidates) for group in groups)
    first, second = fusion.ballots[one].normalised, fusion.ballots[other].normalised
    return bool(first) and first == second


def expected_correctness(fusion: types_pb2.Fusion) -> float | None:
    """Return the calibrated probability that the winner is right; None: the vote does not tell."""
    expected = _told(fusion).get("expected_correctness")
    return None if expected is None else float(expected)


def _told(fusion: types_pb2.Fusion) -> dict[str, Any]:
    """Return the fields that are set, by name: not every fusion service tells all of them."""
    return {field.name: value for field, value in fusion.ListFields()}


async def stop(tasks: Sequence[asyncio.Task[Result]]) -> None:
    """Stop tasks, and wait until they have."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def candidate(result: Result) -> fusion_pb2.Candidate:
    """Return an answer as the vote gets it."""
    attempt = result.attempt
    confidence = attempt.confidence if attempt.HasField("confidence") else None
    return fusion_pb2.Candidate(target=attempt.target, text=result.text, confidence=confidence)
