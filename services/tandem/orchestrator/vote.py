"""The strategy `ensemble`: several answers side by side, fused into one."""

from __future__ import annotations

import asyncio

from tandem.call import Call
from tandem.clock import now
from tandem.errors import TandemError
from tandem.orchestrator.attempts import Attempts, Result
from tandem.orchestrator.record import Record
from tandem.protocols import Fusion
from tandem.v1 import fusion_pb2, types_pb2


class Vote:
    """One vote; `outcome` is set after `run` when the voices were fused.

    Fusion has `fuse_ms` milliseconds: one that hangs does not hold up answers that are there.
    """

    def __init__(self, attempts: Attempts, record: Record, fusion: Fusion, fuse_ms: float) -> None:
        self._attempts = attempts
        self._record = record
        self._fusion = fusion
        self._fuse_ms = fuse_ms
        self.outcome: types_pb2.Fusion | None = None

    async def run(self, plan: types_pb2.Plan, signals: types_pb2.Signals | None, call: Call) -> Result:
        """Return the answer that wins among the voices that came in time.

        Raises:
            TandemError: of the first voice, if none came and nothing may replace it.
        """
        voices = await asyncio.gather(
            *(self._attempts.once(planned) for planned in plan.attempts), return_exceptions=True
        )
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
        return await self._fuse(results, signals, call.until(end))

    async def _fuse(self, results: list[Result], signals: types_pb2.Signals | None, call: Call) -> Result:
        request = fusion_pb2.FuseRequest(candidates=map(candidate, results))
        if signals is not None:
            request.domain, request.task = signals.domain.value, signals.task.value
        try:
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


def candidate(result: Result) -> fusion_pb2.Candidate:
    """Return an answer as the vote gets it."""
    attempt = result.attempt
    confidence = attempt.confidence if attempt.HasField("confidence") else None
    return fusion_pb2.Candidate(target=attempt.target, text=result.text, confidence=confidence)
