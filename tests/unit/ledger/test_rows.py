"""Would catch a fact that is booked wrongly or twice, and words of users or models in the ledger."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tandem.ledger.entry import Entry
from tandem.ledger.rows import Rows, rows_of
from tandem.ledger.tables import attempts, degradations, requests
from tandem.v1 import types_pb2
from tests.fakes.entries import SAID, START, Tokens, entry


def request_of(rows: Rows) -> dict[str, Any]:
    return dict(zip(requests.c.keys(), rows.request, strict=True))


def full() -> Entry:
    """Return an entry with every field that the ledger knows, and words wherever there is room for them."""
    made = entry("r-1", [Tokens("pro", 11, 3, 50), Tokens("r1", 11, 200, 70)], tenant="acme")
    answer = made.answer
    answer.ttft_ms, answer.confidence = 45.5, 0.75
    answer.cache = types_pb2.CACHE_OUTCOME_MISS
    answer.plan.strategy = types_pb2.STRATEGY_ROUTE
    answer.plan.policy_revision = "policy-7"
    answer.plan.reasons.append(SAID)
    answer.plan.chosen_by, answer.plan.threshold = types_pb2.CHOSEN_BY_SCORE, 0.8
    answer.plan.rule, answer.plan.margin_ms, answer.plan.reserve_ms = "contracts", 50.0, 900.0
    signals = answer.signals
    signals.task.value, signals.domain.value = types_pb2.TASK_CODE, types_pb2.DOMAIN_LEGAL
    signals.language.value, signals.artifact_revision = "zh", "classifier-3"
    signals.complexity.value, signals.r1_suffices.value = 6.5, 0.78
    signals.reasons.append(SAID)
    failed = answer.attempts[0]
    failed.outcome, failed.error_reason = types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY, "OUT_OF_MEMORY"
    failed.usage_settled, failed.queued_ms, failed.ttft_ms = False, 2.0, 30.0
    answer.attempts[1].seam_byte_offset = 12
    answer.degradations.add(
        reason=types_pb2.DEGRADATION_REASON_OUT_OF_MEMORY,
        from_target=types_pb2.Target(tier="pro", variant="bf16"),
        to_target=types_pb2.Target(tier="r1", variant="int8"),
        max_tokens=256,
        detail=SAID,
    )
    answer.gate.probability, answer.gate.agreement, answer.gate.threshold = 0.4, 0.25, 0.5
    answer.review.id, answer.review.status = "case-1", types_pb2.REVIEW_STATUS_PENDING_HUMAN_REVIEW
    answer.fusion.dissent.add(text=SAID, normalised=SAID)
    return made._replace(trace_id="4bf92f3577b34da6a3ce929d0e0e4736")


def test_a_request_is_booked_with_all_that_is_known() -> None:
    booked = request_of(rows_of(full()))
    assert len(booked.pop("id")) == 32
    assert booked == {
        "request_id": "r-1",
        "tenant": "acme",
        "started_at": "2026-11-24T09:30:00.000000Z",
        "duration_ms": 120.0,
        "deadline_ms": 20_000.0,
        "ttft_ms": 45.5,
        "method": "Generate",
        "strategy": "route",
        "outcome": "degraded",
        "reason": "",
        "tier": "r1",
        "variant": "fp16",
        "cache": "miss",
        "source_request_id": None,
        "input_tokens": 22,
        "output_tokens": 203,
        "cost_nano_usd": 120,
        "confidence": 0.75,
        "policy_revision": "policy-7",
        "artifact_revision": "classifier-3",
        "task": "code",
        "domain": "legal",
        "language": "zh",
        "complexity": 6.5,
        "r1_suffices": 0.78,
        "gate_probability": 0.4,
        "gate_agreement": 0.25,
        "review_id": "case-1",
        "review_status": "pending_human_review",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "rule": "contracts",
        "chosen_by": "score",
        "threshold": pytest.approx(0.8),
        "margin_ms": 50.0,
        "reserve_ms": 900.0,
    }


def test_an_attempt_is_booked_with_all_that_is_known() -> None:
    rows = rows_of(full())
    booked = dict(zip(attempts.c.keys(), rows.attempts[0], strict=True))
    assert booked.pop("request") == rows.id
    assert booked == {
        "position": 0,
        "purpose": "primary",
        "tier": "pro",
        "variant": "fp16",
        "model": "pro",
        "outcome": "out_of_memory",
        "finish_reason": "stop",
        "input_tokens": 11,
        "output_tokens": 3,
        "usage_settled": False,
        "cost_nano_usd": 50,
        "started_ms": 0.0,
        "queued_ms": 2.0,
        "ttft_ms": 30.0,
        "duration_ms": 100.0,
        "allowance_ms": 15_000.0,
        "confidence": None,
        "error_reason": "OUT_OF_MEMORY",
        "seam_byte_offset": None,
    }
    assert dict(zip(attempts.c.keys(), rows.attempts[1], strict=True))["seam_byte_offset"] == 12


def test_a_degradation_is_booked() -> None:
    rows = rows_of(full())
    (booked,) = (dict(zip(degradations.c.keys(), row, strict=True)) for row in rows.degradations)
    assert booked == {
        "request": rows.id,
        "position": 0,
        "reason": "out_of_memory",
        "from_tier": "pro",
        "from_variant": "bf16",
        "to_tier": "r1",
        "to_variant": "int8",
        "max_tokens": 256,
    }


def test_nothing_that_was_said_is_booked() -> None:
    assert SAID not in repr(rows_of(full()))


@pytest.mark.parametrize(
    ("reason", "degraded", "outcome"),
    [
        ("", False, "answered"),
        ("", True, "degraded"),
        ("CANCELLED", False, "cancelled"),
        ("DEADLINE_EXCEEDED", True, "error"),
    ],
)
def test_outcomes(reason: str, degraded: bool, outcome: str) -> None:
    made = entry(reason=reason)
    if degraded:
        made.answer.degradations.add(reason=types_pb2.DEGRADATION_REASON_TIMEOUT)
    booked = request_of(rows_of(made))
    assert (booked["outcome"], booked["reason"]) == (outcome, reason)


def test_attempts_of_another_request_are_booked_there() -> None:
    shared, hit, own = entry("b"), entry("c"), entry("d")
    shared.answer.source_request_id = "a"
    hit.answer.cache = types_pb2.CACHE_OUTCOME_HIT
    own.answer.source_request_id = "d"
    assert [len(rows_of(each).attempts) for each in (shared, hit, own)] == [0, 0, 1]
    assert request_of(rows_of(shared))["output_tokens"] == 0


def test_what_is_unknown_is_absent() -> None:
    bare = Entry(types_pb2.Answer(request_id="x"), "t", START, 5.0, "BatchGenerate", "OVERLOADED")
    booked = request_of(rows_of(bare))
    known = {name for name, value in booked.items() if value not in {None, "", 0}}
    assert known == {"id", "request_id", "tenant", "started_at", "deadline_ms", "method", "outcome", "reason"}


def test_values_of_a_newer_contract_and_numbers_that_are_none_can_be_booked() -> None:
    made = entry()
    made.answer.attempts[0].outcome = 99  # type: ignore[assignment]  # as a newer service would send it
    made.answer.duration_ms = math.nan
    rows = rows_of(made)
    assert request_of(rows)["duration_ms"] == 0.0
    assert rows.attempts[0][attempts.c.keys().index("outcome")] is None


def test_keys_sort_by_time_and_differ() -> None:
    made = [rows_of(full()).id for _ in range(100)]
    assert len(set(made)) == 100
    assert len({key[:12] for key in made}) == 1
