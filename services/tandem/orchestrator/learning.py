"""What an attempt that has ended teaches about its model: its speed, what it bears, whether it is well."""

from __future__ import annotations

from typing import Final

from tandem.clock import now
from tandem.orchestrator.live import P99, LiveModel
from tandem.orchestrator.retry_budget import RetryBudget
from tandem.v1 import types_pb2

SICK: Final = (types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY, types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE)
"""Outcomes that say that the model is sick; a time-out says so only if the model was silent."""


def learn(
    model: LiveModel, attempt: types_pb2.Attempt, prompt_tokens: int, ticket: int, *, stalled: bool
) -> None:
    """Let the model's state know how an attempt ended.

    Args:
        model: which one was tried.
        attempt: as it is booked.
        prompt_tokens: estimated length of the conversation.
        ticket: what the breaker gave at the start.
        stalled: it was given up because it was silent for longer than the model ever is.
    """
    if attempt.HasField("ttft_ms"):
        model.gave_token(prompt_tokens, attempt.ttft_ms, now() - attempt.duration_ms / 1000.0)
        model.latency.saw_tokens(attempt.usage.output_tokens - 1, attempt.duration_ms - attempt.ttft_ms)
    if attempt.outcome == types_pb2.ATTEMPT_OUTCOME_ANSWERED:
        model.breaker.succeeded(ticket)
        model.limit.answered()
        return
    silent = _was_silent(model, attempt, prompt_tokens)
    if silent:
        model.hung(now() - attempt.duration_ms / 1000.0)
    if silent or stalled or attempt.outcome == types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY:
        model.limit.halve()
    if silent or stalled or attempt.outcome in SICK:
        model.breaker.failed(attempt.outcome, ticket)
    else:
        model.breaker.left(ticket)


def count(budget: RetryBudget, attempt: types_pb2.Attempt) -> None:
    """Let the bound on what is tried in vain know how an attempt ended."""
    if attempt.outcome == types_pb2.ATTEMPT_OUTCOME_ANSWERED:
        budget.answered()
    elif attempt.purpose == types_pb2.ATTEMPT_PURPOSE_FALLBACK and (
        attempt.outcome != types_pb2.ATTEMPT_OUTCOME_CANCELLED
    ):
        budget.in_vain()


def _was_silent(model: LiveModel, attempt: types_pb2.Attempt, prompt_tokens: int) -> bool:
    """Whether an attempt timed out without a token, after a time in which the model usually gives one.

    A time-out before that says something about the deadline, and nothing about the model.
    """
    return (
        attempt.outcome == types_pb2.ATTEMPT_OUTCOME_TIMEOUT
        and not attempt.HasField("ttft_ms")
        and attempt.duration_ms >= model.latency.ttft_ms(P99, prompt_tokens)
    )
