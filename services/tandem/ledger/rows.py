"""Entries as rows. What a model said is left behind here, and what a user said unless the operator wants it kept."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tandem.conversation_json import to_json
from tandem.enum_words import Enum, enum_words
from tandem.ledger.entry import Entry, made_elsewhere
from tandem.ledger.tables import timestamp
from tandem.v1 import types_pb2

Row = tuple[Any, ...]

MOST_PROMPT_CHARACTERS: Final = 32_768
"""Of a conversation that is kept; a longer one is not: a part of it would be another question."""


def _words(enum: Enum, prefix: str) -> Mapping[int, str]:
    return enum_words(enum, prefix, None)


_STRATEGY: Final = _words(types_pb2.Strategy, "STRATEGY_")
_CACHE: Final = _words(types_pb2.CacheOutcome, "CACHE_OUTCOME_")
_TASK: Final = _words(types_pb2.Task, "TASK_")
_DOMAIN: Final = _words(types_pb2.Domain, "DOMAIN_")
_PURPOSE: Final = _words(types_pb2.AttemptPurpose, "ATTEMPT_PURPOSE_")
_OUTCOME: Final = _words(types_pb2.AttemptOutcome, "ATTEMPT_OUTCOME_")
_FINISH: Final = _words(types_pb2.FinishReason, "FINISH_REASON_")
_CHOSEN_BY: Final = _words(types_pb2.ChosenBy, "CHOSEN_BY_")
_REVIEW: Final = _words(types_pb2.ReviewStatus, "REVIEW_STATUS_")
_NOTHING: Final = types_pb2.Answer()
_NOT_JUDGED: Final = (None, None, None, None)
_NOT_PLANNED: Final = (None, None, None, None, None)
_DEGRADATION: Final = _words(types_pb2.DegradationReason, "DEGRADATION_REASON_")


class Rows(NamedTuple):
    """The rows of one entry, each in the order of its table's columns."""

    request: Row
    attempts: list[Row]
    degradations: list[Row]
    prompts: list[Row]

    @property
    def id(self) -> str:
        """The entry's key."""
        return str(self.request[0])


def rows_of(entry: Entry) -> Rows:
    """Return the rows of an entry. Its key is new, and sorts by time."""
    answer = entry.answer
    key = f"{int(entry.started_at.timestamp() * 1000):012x}{secrets.token_hex(10)}"
    elsewhere = made_elsewhere(answer)
    # A copy, because the end of a list costs nothing: a repeated field tells its end by raising an error inside.
    booked = [] if elsewhere else answer.attempts[:]
    return Rows(
        _request(entry, key, booked),
        [_attempt(attempt, key, position) for position, attempt in enumerate(booked)],
        [_degradation(each, key, position) for position, each in enumerate(answer.degradations[:])],
        [] if elsewhere else _prompts(entry, key),
    )


def _prompts(entry: Entry, key: str) -> list[Row]:
    """Return the conversation as a row; none if it is not to be kept, or too long."""
    if not entry.messages:
        return []
    text = json.dumps(to_json(entry.messages), ensure_ascii=False)
    return [(key, text)] if len(text) <= MOST_PROMPT_CHARACTERS else []


# A row is a tuple in the order of its table: every request makes some, and dictionaries take twice as long.


def _request(entry: Entry, key: str, booked: Sequence[types_pb2.Attempt]) -> Row:
    answer, plan, signals = entry.answer, entry.answer.plan, entry.answer.signals
    used = answer if booked else _NOTHING
    return (
        key,
        answer.request_id,
        entry.tenant,
        timestamp(entry.started_at),
        _number(answer.duration_ms),
        _number(entry.deadline_ms),
        _number(answer.ttft_ms) if answer.HasField("ttft_ms") else None,
        entry.method,
        _STRATEGY.get(plan.strategy),
        _outcome(entry),
        entry.reason,
        answer.answered_by.tier or None,
        answer.answered_by.variant or None,
        _CACHE.get(answer.cache),
        answer.source_request_id or None,
        used.usage.input_tokens,
        used.usage.output_tokens,
        used.cost_nano_usd,
        _number(answer.confidence) if answer.HasField("confidence") else None,
        plan.policy_revision or None,
        signals.artifact_revision or None,
        _TASK.get(signals.task.value),
        _DOMAIN.get(signals.domain.value),
        signals.language.value or None,
        _number(signals.complexity.value) if signals.HasField("complexity") else None,
        _number(signals.r1_suffices.value) if signals.HasField("r1_suffices") else None,
        *(_judged(answer) if answer.HasField("gate") or answer.HasField("review") else _NOT_JUDGED),
        entry.trace_id or None,
        *(_planned(plan) if answer.HasField("plan") else _NOT_PLANNED),
    )


def _planned(plan: types_pb2.Plan) -> Row:
    """Return why the models were chosen, and how the time was divided."""
    return (
        plan.rule or None,
        _CHOSEN_BY.get(plan.chosen_by),
        _number(plan.threshold) if plan.HasField("threshold") else None,
        _number(plan.margin_ms),
        _number(plan.reserve_ms),
    )


def _judged(answer: types_pb2.Answer) -> Row:
    """Return what the gate said of a draft, and the review that the answer needs."""
    gate, review = answer.gate, answer.review
    return (
        _number(gate.probability) if answer.HasField("gate") else None,
        _number(gate.agreement) if gate.HasField("agreement") else None,
        review.id or None,
        _REVIEW.get(review.status),
    )


def _attempt(attempt: types_pb2.Attempt, key: str, position: int) -> Row:
    target, usage = attempt.target, attempt.usage
    return (
        key,
        position,
        _PURPOSE.get(attempt.purpose),
        target.tier,
        target.variant,
        attempt.model,
        _OUTCOME.get(attempt.outcome),
        _FINISH.get(attempt.finish_reason),
        usage.input_tokens,
        usage.output_tokens,
        attempt.usage_settled,
        attempt.cost_nano_usd,
        _number(attempt.started_ms),
        _number(attempt.queued_ms),
        _number(attempt.ttft_ms) if attempt.HasField("ttft_ms") else None,
        _number(attempt.duration_ms),
        _number(attempt.allowance_ms),
        _number(attempt.confidence) if attempt.HasField("confidence") else None,
        attempt.error_reason,
        attempt.seam_byte_offset if attempt.HasField("seam_byte_offset") else None,
    )


def _degradation(degradation: types_pb2.Degradation, key: str, position: int) -> Row:
    return (
        key,
        position,
        _DEGRADATION.get(degradation.reason),
        degradation.from_target.tier or None,
        degradation.from_target.variant or None,
        degradation.to_target.tier or None,
        degradation.to_target.variant or None,
        degradation.max_tokens if degradation.HasField("max_tokens") else None,
    )


def _outcome(entry: Entry) -> str:
    if entry.reason == "CANCELLED":
        return "cancelled"
    if entry.reason:
        return "error"
    return "degraded" if entry.answer.degradations else "answered"


def _number(value: float) -> float:
    """Return a number that every database stores, without the noise of 32-bit floats."""
    # What is subtracted from itself is 0, unless it is infinite or no number. `round` takes ten times as long.
    return math.floor(value * 1e6 + 0.5) / 1e6 if value - value == 0.0 else 0.0
