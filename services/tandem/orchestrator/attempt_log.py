"""Tells the log of every attempt, while everything is logged."""

from __future__ import annotations

from tandem.orchestrator.ended import Ended
from tandem.telemetry.logs import is_written, logger
from tandem.v1 import types_pb2

_log = logger("attempts")


class AttemptLog:
    """Satisfies `tandem.orchestrator.ended.Observer`."""

    def ended(self, ended: Ended) -> None:
        """Write nothing: tokens may still be counted."""

    def settled(self, ended: Ended) -> None:
        """Write a line for each attempt."""
        if not is_written("debug"):
            return
        for attempt in ended.answer.attempts:
            _log.debug(
                "attempt",
                request_id=ended.call.request_id,
                index=attempt.index,
                model=attempt.model,
                purpose=types_pb2.AttemptPurpose.Name(attempt.purpose).removeprefix("ATTEMPT_PURPOSE_"),
                outcome=types_pb2.AttemptOutcome.Name(attempt.outcome).removeprefix("ATTEMPT_OUTCOME_"),
                reason=attempt.error_reason,
                queued_ms=attempt.queued_ms,
                started_ms=attempt.started_ms,
                ttft_ms=attempt.ttft_ms if attempt.HasField("ttft_ms") else None,
                duration_ms=attempt.duration_ms,
                input_tokens=attempt.usage.input_tokens,
                output_tokens=attempt.usage.output_tokens,
            )
