"""Runs the attempts of one request under its deadline, falls back by the plan, and books every attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.clock import now
from tandem.errors import BackendUnavailable, Cancelled, DeadlineExceeded, Draining, OutOfMemory, TandemError
from tandem.protocols import Inference
from tandem.v1 import inference_pb2, orchestrator_pb2, types_pb2

OUTCOMES: Final[Mapping[type[TandemError], types_pb2.AttemptOutcome.ValueType]] = {
    DeadlineExceeded: types_pb2.ATTEMPT_OUTCOME_TIMEOUT,
    OutOfMemory: types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY,
    BackendUnavailable: types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE,
    Draining: types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE,
    Cancelled: types_pb2.ATTEMPT_OUTCOME_CANCELLED,
}
"""How each kind of error is booked; any other is FAILED, and is raised unchanged."""

CAUSES: Final = {
    types_pb2.ATTEMPT_OUTCOME_TIMEOUT: types_pb2.DEGRADATION_REASON_TIMEOUT,
    types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY: types_pb2.DEGRADATION_REASON_OUT_OF_MEMORY,
    types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE: types_pb2.DEGRADATION_REASON_UNAVAILABLE,
}


@dataclass(slots=True)
class Result:
    """What an attempt answered."""

    attempt: types_pb2.Attempt
    text: str = ""
    reasoning: str = ""


@dataclass(slots=True)
class Record:
    """What happened to one request so far."""

    attempts: list[types_pb2.Attempt] = field(default_factory=list)
    degradations: list[types_pb2.Degradation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Backends:
    """What attempts run on."""

    tiers: Mapping[str, Inference]
    """The inference service of each tier."""
    catalogue: Catalogue
    """Prices and latency priors."""
    max_attempts: int
    """Most attempts of one request in a row."""


class Attempts:
    """The attempts of one request.

    Args:
        request: the question.
        plan: what is to be tried.
        call: the request's deadline and identity.
        backends: what they run on.
        record: where attempts and degradations are booked.
    """

    def __init__(
        self,
        request: orchestrator_pb2.GenerateRequest,
        plan: types_pb2.Plan,
        call: Call,
        backends: Backends,
        record: Record,
    ) -> None:
        self._request = request
        self._plan = plan
        self._call = call
        self._tiers = backends.tiers
        self._catalogue = backends.catalogue
        self._max_attempts = _granted(backends.max_attempts, call)
        self._record = record
        self._end = call.deadline - plan.margin_ms / 1000.0

    async def answer(self, planned: types_pb2.PlannedAttempt) -> Result:
        """Return the answer of the planned attempt, or of what replaces it.

        Raises:
            TandemError: of the last attempt, when nothing may replace it.
        """
        while True:
            try:
                return await self.once(planned)
            except TandemError as error:
                planned = self._replacement(planned, error)

    async def once(self, planned: types_pb2.PlannedAttempt) -> Result:
        """Return the answer of the planned attempt alone."""
        attempt, inner = self._open(planned)
        try:
            response = await self._tiers[planned.target.tier].infer(self._infer(planned, ""), inner)
        except BaseException as error:
            self._fail(attempt, error)
            raise
        self._finish(attempt, response.finished)
        return Result(attempt, response.text, response.reasoning)

    async def stream(
        self, planned: types_pb2.PlannedAttempt, result: Result
    ) -> AsyncGenerator[orchestrator_pb2.StreamGenerateResponse, None]:
        """Yield reasoning, text and seams; `result` then holds the attempt that finished and the whole text.

        Raises:
            TandemError: of the last attempt, when nothing may replace it.
        """
        while True:
            try:
                async with aclosing(self._stream_once(planned, result)) as events:
                    async for event in events:
                        yield event
            except TandemError as error:
                failed, planned = planned, self._replacement(planned, error)
                if result.text:
                    yield orchestrator_pb2.StreamGenerateResponse(
                        seam=self._seam(failed, planned, result.text)
                    )
            else:
                return

    async def _stream_once(
        self, planned: types_pb2.PlannedAttempt, result: Result
    ) -> AsyncGenerator[orchestrator_pb2.StreamGenerateResponse, None]:
        attempt, inner = self._open(planned)
        result.attempt = attempt
        source = self._tiers[planned.target.tier].stream_infer(self._infer(planned, result.text), inner)
        try:
            async with aclosing(source) as pieces:
                async for piece in pieces:
                    self._count(attempt, piece)
                    if piece.reasoning:
                        result.reasoning += piece.reasoning
                        yield orchestrator_pb2.StreamGenerateResponse(
                            reasoning=orchestrator_pb2.ReasoningDelta(delta=piece.reasoning)
                        )
                    if piece.text:
                        result.text += piece.text
                        yield orchestrator_pb2.StreamGenerateResponse(
                            text=orchestrator_pb2.TextDelta(delta=piece.text)
                        )
                    if piece.HasField("finished"):
                        self._finish(attempt, piece.finished)
        except BaseException as error:
            self._fail(attempt, error)
            raise
        if attempt.outcome == types_pb2.ATTEMPT_OUTCOME_UNSPECIFIED:
            cut_off = BackendUnavailable(f"{attempt.model} ended its stream without finishing the answer")
            self._fail(attempt, cut_off)
            raise cut_off

    def _infer(self, planned: types_pb2.PlannedAttempt, prefix: str) -> inference_pb2.InferRequest:
        return inference_pb2.InferRequest(
            variant=planned.target.variant,
            messages=self._request.messages,
            sampling=planned.sampling,
            continuation_prefix=prefix,
        )

    def _open(self, planned: types_pb2.PlannedAttempt) -> tuple[types_pb2.Attempt, Call]:
        """Book the start of an attempt; return it with the call it runs under."""
        variant = self._catalogue.variant(planned.target.tier, planned.target.variant)
        attempt = types_pb2.Attempt(
            index=len(self._record.attempts),
            target=planned.target,
            model=variant.model,
            purpose=planned.purpose,
            started_ms=self._call.elapsed_ms(),
            allowance_ms=planned.allowance_ms,
        )
        self._record.attempts.append(attempt)
        return attempt, self._call.until(min(self._end, now() + planned.allowance_ms / 1000.0))

    def _count(self, attempt: types_pb2.Attempt, piece: inference_pb2.StreamInferResponse) -> None:
        if not attempt.HasField("ttft_ms") and (piece.text or piece.reasoning):
            attempt.ttft_ms = self._call.elapsed_ms() - attempt.started_ms
        attempt.usage.output_tokens += piece.output_tokens

    def _finish(self, attempt: types_pb2.Attempt, finished: inference_pb2.InferFinished) -> None:
        attempt.outcome = types_pb2.ATTEMPT_OUTCOME_ANSWERED
        attempt.finish_reason = finished.finish_reason
        attempt.usage.CopyFrom(finished.usage)
        if finished.HasField("confidence"):
            attempt.confidence = finished.confidence
        self._close(attempt)

    def _fail(self, attempt: types_pb2.Attempt, error: BaseException) -> None:
        if isinstance(error, TandemError):
            attempt.outcome = OUTCOMES.get(type(error), types_pb2.ATTEMPT_OUTCOME_FAILED)
            attempt.error_reason, attempt.error_message = error.reason, error.message
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            attempt.outcome = types_pb2.ATTEMPT_OUTCOME_CANCELLED
        else:
            attempt.outcome = types_pb2.ATTEMPT_OUTCOME_FAILED
        self._close(attempt)

    def _close(self, attempt: types_pb2.Attempt) -> None:
        attempt.duration_ms = self._call.elapsed_ms() - attempt.started_ms
        price = self._catalogue.tier(attempt.target.tier).price
        attempt.cost_nano_usd = price.cost_nano_usd(attempt.usage.input_tokens, attempt.usage.output_tokens)

    def _replacement(self, failed: types_pb2.PlannedAttempt, error: TandemError) -> types_pb2.PlannedAttempt:
        """Return what answers instead, and book the degradation; raise the error if nothing may."""
        outcome = OUTCOMES.get(type(error), types_pb2.ATTEMPT_OUTCOME_FAILED)
        tried = [(a.target.tier, a.target.variant) for a in self._record.attempts]
        left_ms = (self._end - now()) * 1000.0
        if len(tried) >= self._max_attempts:
            raise error
        for fallback in self._plan.fallbacks:
            matches = fallback.on == outcome and fallback.from_tier == failed.target.tier
            if (
                matches
                and (fallback.target.tier, fallback.target.variant) not in tried
                and self._fits(fallback, left_ms)
            ):
                return self._fall_back(failed, fallback, left_ms, error)
        raise error

    def _fits(self, fallback: types_pb2.PlannedFallback, left_ms: float) -> bool:
        latency = self._catalogue.variant(fallback.target.tier, fallback.target.variant).latency
        return left_ms >= latency.ttft_ms + latency.tpot_ms

    def _fall_back(
        self,
        failed: types_pb2.PlannedAttempt,
        fallback: types_pb2.PlannedFallback,
        left_ms: float,
        error: TandemError,
    ) -> types_pb2.PlannedAttempt:
        planned = types_pb2.PlannedAttempt(
            target=fallback.target,
            purpose=types_pb2.ATTEMPT_PURPOSE_FALLBACK,
            sampling=failed.sampling,
            allowance_ms=left_ms,
        )
        degradation = types_pb2.Degradation(
            reason=CAUSES[fallback.on],
            from_target=failed.target,
            to_target=fallback.target,
            detail=error.message,
        )
        if fallback.HasField("max_tokens"):
            planned.sampling.max_tokens = min(planned.sampling.max_tokens, fallback.max_tokens)
            degradation.max_tokens = planned.sampling.max_tokens
        self._record.degradations.append(degradation)
        return planned

    def _seam(
        self, failed: types_pb2.PlannedAttempt, planned: types_pb2.PlannedAttempt, text: str
    ) -> orchestrator_pb2.Seam:
        return orchestrator_pb2.Seam(
            byte_offset=len(text.encode()),
            from_target=failed.target,
            to_target=planned.target,
            cause=self._record.degradations[-1].reason,
        )


def _granted(max_attempts: int, call: Call) -> int:
    """Return the attempts that policy and caller both allow."""
    return max_attempts if call.retries_left is None else min(max_attempts, 1 + call.retries_left)
