"""What happened to one request: its attempts, booked as they go, and in what it is less than was planned."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tandem.call import Call
from tandem.catalogue import Catalogue
from tandem.errors import (
    BackendUnavailable,
    Cancelled,
    DeadlineExceeded,
    Draining,
    OutOfMemory,
    Overloaded,
    TandemError,
)
from tandem.orchestrator.course import Course
from tandem.v1 import inference_pb2, types_pb2

OUTCOMES: Final[Mapping[type[TandemError], types_pb2.AttemptOutcome.ValueType]] = {
    DeadlineExceeded: types_pb2.ATTEMPT_OUTCOME_TIMEOUT,
    OutOfMemory: types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY,
    BackendUnavailable: types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE,
    Draining: types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE,
    Overloaded: types_pb2.ATTEMPT_OUTCOME_OVERLOADED,
    Cancelled: types_pb2.ATTEMPT_OUTCOME_CANCELLED,
}
"""How each kind of error is booked; any other is FAILED, and is raised unchanged."""

_PREFIX: Final = "ATTEMPT_OUTCOME_"

CAUSES: Final = {
    types_pb2.ATTEMPT_OUTCOME_TIMEOUT: types_pb2.DEGRADATION_REASON_TIMEOUT,
    types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY: types_pb2.DEGRADATION_REASON_OUT_OF_MEMORY,
    types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE: types_pb2.DEGRADATION_REASON_UNAVAILABLE,
    types_pb2.ATTEMPT_OUTCOME_OVERLOADED: types_pb2.DEGRADATION_REASON_OVERLOAD,
}


def outcome_of(error: BaseException) -> types_pb2.AttemptOutcome.ValueType:
    """Return how an error is booked."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return types_pb2.ATTEMPT_OUTCOME_CANCELLED
    if isinstance(error, TandemError):
        return OUTCOMES.get(type(error), types_pb2.ATTEMPT_OUTCOME_FAILED)
    return types_pb2.ATTEMPT_OUTCOME_FAILED


def error_of(attempt: types_pb2.Attempt) -> str:
    """Return what kind of error ended an attempt, as its span and its metrics have it; empty: it answered."""
    if attempt.outcome == types_pb2.ATTEMPT_OUTCOME_ANSWERED:
        return ""
    return attempt.error_reason or types_pb2.AttemptOutcome.Name(attempt.outcome).removeprefix(_PREFIX)


def price(attempt: types_pb2.Attempt, catalogue: Catalogue) -> None:
    """Book what the tokens of an attempt cost."""
    prices = catalogue.tier(attempt.target.tier).price
    attempt.cost_nano_usd = prices.cost_nano_usd(attempt.usage.input_tokens, attempt.usage.output_tokens)


def add_up(answer: types_pb2.Answer) -> None:
    """Set the totals of an answer to the sums over all its attempts."""
    input_tokens = output_tokens = cost_nano_usd = 0
    for attempt in answer.attempts[:]:
        used = attempt.usage
        input_tokens += used.input_tokens
        output_tokens += used.output_tokens
        cost_nano_usd += attempt.cost_nano_usd
    answer.usage.input_tokens, answer.usage.output_tokens = input_tokens, output_tokens
    answer.cost_nano_usd = cost_nano_usd


@dataclass(slots=True)
class Record:
    """The books of one request."""

    call: Call
    catalogue: Catalogue
    attempts: list[types_pb2.Attempt] = field(default_factory=list)
    degradations: list[types_pb2.Degradation] = field(default_factory=list)
    course: Course = field(default_factory=Course)

    def open(self, planned: types_pb2.PlannedAttempt, queued_ms: float) -> types_pb2.Attempt:
        """Book the start of an attempt."""
        variant = self.catalogue.variant(planned.target.tier, planned.target.variant)
        attempt = types_pb2.Attempt(
            index=len(self.attempts),
            model=variant.model,
            purpose=planned.purpose,
            started_ms=self.call.elapsed_ms(),
            allowance_ms=planned.allowance_ms,
            queued_ms=queued_ms,
        )
        attempt.target.CopyFrom(planned.target)
        self.attempts.append(attempt)
        self.course.tried.append(planned)
        return attempt

    def count(self, attempt: types_pb2.Attempt, piece: inference_pb2.StreamInferResponse) -> None:
        """Book what arrived."""
        if not attempt.HasField("ttft_ms") and (piece.output_tokens or piece.text or piece.reasoning):
            attempt.ttft_ms = self.call.elapsed_ms() - attempt.started_ms
        attempt.usage.output_tokens += piece.output_tokens
        if piece.input_tokens:
            attempt.usage.input_tokens = piece.input_tokens

    def finish(self, attempt: types_pb2.Attempt, finished: inference_pb2.InferFinished) -> None:
        """Book an answer."""
        attempt.outcome = types_pb2.ATTEMPT_OUTCOME_ANSWERED
        attempt.finish_reason = finished.finish_reason
        attempt.usage.CopyFrom(finished.usage)
        attempt.usage_settled = True
        if finished.HasField("confidence"):
            attempt.confidence = finished.confidence
        self._close(attempt)

    def stop(self, attempt: types_pb2.Attempt) -> None:
        """Book an answer that was complete before the engine said so."""
        attempt.outcome = types_pb2.ATTEMPT_OUTCOME_ANSWERED
        attempt.finish_reason = types_pb2.FINISH_REASON_STOP
        self._close(attempt)

    def fail(self, attempt: types_pb2.Attempt, error: BaseException) -> None:
        """Book a failure, unless the attempt had its answer before."""
        if attempt.outcome != types_pb2.ATTEMPT_OUTCOME_UNSPECIFIED:
            return
        attempt.outcome = outcome_of(error)
        if isinstance(error, TandemError):
            attempt.error_reason, attempt.error_message = error.reason, error.message
        self._close(attempt)

    def _close(self, attempt: types_pb2.Attempt) -> None:
        attempt.duration_ms = self.call.elapsed_ms() - attempt.started_ms
        price(attempt, self.catalogue)

    def degrade(
        self,
        reason: types_pb2.DegradationReason.ValueType,
        detail: str,
        from_target: types_pb2.Target | None = None,
        to_target: types_pb2.Target | None = None,
        max_tokens: int | None = None,
    ) -> None:
        """State in what the answer is less than was planned."""
        self.degradations.append(
            types_pb2.Degradation(
                reason=reason,
                from_target=from_target,
                to_target=to_target,
                max_tokens=max_tokens,
                detail=detail,
            )
        )
