"""Entries as rows. What a model said is left behind here, and what a user said unless the operator wants it kept."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from tandem.conversation_json import to_json
from tandem.ledger.entry import Entry
from tandem.ledger.tables import attempts, degradations, requests, timestamp
from tandem.v1 import types_pb2

Row = tuple[Any, ...]

MOST_PROMPT_CHARACTERS: Final = 32_768
"""Of a conversation that is kept; a longer one is not: a part of it would be another question."""

_request_row: Final = itemgetter(*requests.c.keys())
_attempt_row: Final = itemgetter(*attempts.c.keys())
_degradation_row: Final = itemgetter(*degradations.c.keys())


def _words(enum: str, prefix: str) -> Mapping[int, str]:
    """Return the lower-case word of every value but UNSPECIFIED."""
    values = types_pb2.DESCRIPTOR.enum_types_by_name[enum].values
    return {value.number: value.name.removeprefix(prefix).lower() for value in values if value.number}


_STRATEGY: Final = _words("Strategy", "STRATEGY_")
_CACHE: Final = _words("CacheOutcome", "CACHE_OUTCOME_")
_TASK: Final = _words("Task", "TASK_")
_DOMAIN: Final = _words("Domain", "DOMAIN_")
_PURPOSE: Final = _words("AttemptPurpose", "ATTEMPT_PURPOSE_")
_OUTCOME: Final = _words("AttemptOutcome", "ATTEMPT_OUTCOME_")
_FINISH: Final = _words("FinishReason", "FINISH_REASON_")
_DEGRADATION: Final = _words("DegradationReason", "DEGRADATION_REASON_")


@dataclass(frozen=True, slots=True)
class Rows:
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
    booked = [] if _made_elsewhere(answer) else answer.attempts
    return Rows(
        _request_row(_request(entry, key, booked) | _signals(answer)),
        [_attempt_row(_attempt(attempt, key, position)) for position, attempt in enumerate(booked)],
        [_degradation_row(_degradation(each, key, n)) for n, each in enumerate(answer.degradations)],
        [] if _made_elsewhere(answer) else _prompts(entry, key),
    )


def _prompts(entry: Entry, key: str) -> list[Row]:
    """Return the conversation as a row; none if it is not to be kept, or too long."""
    if not entry.messages:
        return []
    text = json.dumps(to_json(entry.messages), ensure_ascii=False)
    return [(key, text)] if len(text) <= MOST_PROMPT_CHARACTERS else []


def _made_elsewhere(answer: types_pb2.Answer) -> bool:
    """Return True if another entry books the attempts."""
    shared = answer.source_request_id not in {"", answer.request_id}
    return shared or answer.cache == types_pb2.CACHE_OUTCOME_HIT


def _request(entry: Entry, key: str, booked: Any) -> dict[str, Any]:
    answer = entry.answer
    return {
        "id": key,
        "request_id": answer.request_id,
        "tenant": entry.tenant,
        "started_at": timestamp(entry.started_at),
        "duration_ms": _number(answer.duration_ms),
        "deadline_ms": _number(entry.deadline_ms),
        "ttft_ms": _number(answer.ttft_ms) if answer.HasField("ttft_ms") else None,
        "method": entry.method,
        "strategy": _STRATEGY.get(answer.plan.strategy),
        "outcome": _outcome(entry),
        "reason": entry.reason,
        "tier": answer.answered_by.tier or None,
        "variant": answer.answered_by.variant or None,
        "cache": _CACHE.get(answer.cache),
        "source_request_id": answer.source_request_id or None,
        "input_tokens": sum(attempt.usage.input_tokens for attempt in booked),
        "output_tokens": sum(attempt.usage.output_tokens for attempt in booked),
        "cost_nano_usd": sum(attempt.cost_nano_usd for attempt in booked),
        "confidence": _number(answer.confidence) if answer.HasField("confidence") else None,
        "policy_revision": answer.plan.policy_revision or None,
    }


def _signals(answer: types_pb2.Answer) -> dict[str, Any]:
    signals = answer.signals
    return {
        "artifact_revision": signals.artifact_revision or None,
        "task": _TASK.get(signals.task.value),
        "domain": _DOMAIN.get(signals.domain.value),
        "language": signals.language.value or None,
        "complexity": _number(signals.complexity.value) if signals.HasField("complexity") else None,
        "r1_suffices": _number(signals.r1_suffices.value) if signals.HasField("r1_suffices") else None,
    }


def _attempt(attempt: types_pb2.Attempt, key: str, position: int) -> dict[str, Any]:
    return {
        "request": key,
        "position": position,
        "purpose": _PURPOSE.get(attempt.purpose),
        "tier": attempt.target.tier,
        "variant": attempt.target.variant,
        "model": attempt.model,
        "outcome": _OUTCOME.get(attempt.outcome),
        "finish_reason": _FINISH.get(attempt.finish_reason),
        "input_tokens": attempt.usage.input_tokens,
        "output_tokens": attempt.usage.output_tokens,
        "usage_settled": attempt.usage_settled,
        "cost_nano_usd": attempt.cost_nano_usd,
        "started_ms": _number(attempt.started_ms),
        "queued_ms": _number(attempt.queued_ms),
        "ttft_ms": _number(attempt.ttft_ms) if attempt.HasField("ttft_ms") else None,
        "duration_ms": _number(attempt.duration_ms),
        "allowance_ms": _number(attempt.allowance_ms),
        "confidence": _number(attempt.confidence) if attempt.HasField("confidence") else None,
        "error_reason": attempt.error_reason,
    }


def _degradation(degradation: types_pb2.Degradation, key: str, position: int) -> dict[str, Any]:
    return {
        "request": key,
        "position": position,
        "reason": _DEGRADATION.get(degradation.reason),
        "from_tier": degradation.from_target.tier or None,
        "from_variant": degradation.from_target.variant or None,
        "to_tier": degradation.to_target.tier or None,
        "to_variant": degradation.to_target.variant or None,
        "max_tokens": degradation.max_tokens if degradation.HasField("max_tokens") else None,
    }


def _outcome(entry: Entry) -> str:
    if entry.reason == "CANCELLED":
        return "cancelled"
    if entry.reason:
        return "error"
    return "degraded" if entry.answer.degradations else "answered"


def _number(value: float) -> float:
    """Return a number that every database stores, without the noise of 32-bit floats."""
    return round(value, 6) if math.isfinite(value) else 0.0
