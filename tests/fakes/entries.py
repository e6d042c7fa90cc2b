"""Entries for the ledger, and a ledger to read what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tandem.ledger.entry import Entry
from tandem.orchestrator.record import add_up
from tandem.v1 import types_pb2

START: Final = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
SAID: Final = "what was said"
"""Stands where a user's or a model's words may be."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """One attempt: its tier, which is also its model, and what it took."""

    tier: str = "r1"
    input_tokens: int = 10
    output_tokens: int = 20
    cost_nano_usd: int = 7000


def entry(
    request_id: str = "request",
    attempts: Sequence[Tokens] = (Tokens(),),
    *,
    tenant: str = "anonymous",
    age: timedelta = timedelta(),
    reason: str = "",
) -> Entry:
    """Return an entry that started `age` before START."""
    answer = types_pb2.Answer(request_id=request_id, text=SAID, reasoning=SAID, duration_ms=120.0)
    if attempts and not reason:
        answer.answered_by.CopyFrom(types_pb2.Target(tier=attempts[-1].tier, variant="fp16"))
    for position, tokens in enumerate(attempts):
        answer.attempts.append(attempt(tokens, position))
    add_up(answer)
    return Entry(answer, tenant, START - age, 20_000.0, "Generate", reason)


def attempt(tokens: Tokens, position: int = 0) -> types_pb2.Attempt:
    """Return an attempt that answered."""
    return types_pb2.Attempt(
        index=position,
        target=types_pb2.Target(tier=tokens.tier, variant="fp16"),
        model=tokens.tier,
        purpose=types_pb2.ATTEMPT_PURPOSE_FALLBACK if position else types_pb2.ATTEMPT_PURPOSE_PRIMARY,
        outcome=types_pb2.ATTEMPT_OUTCOME_ANSWERED,
        finish_reason=types_pb2.FINISH_REASON_STOP,
        usage=types_pb2.Usage(input_tokens=tokens.input_tokens, output_tokens=tokens.output_tokens),
        usage_settled=True,
        cost_nano_usd=tokens.cost_nano_usd,
        duration_ms=100.0,
        allowance_ms=15_000.0,
        error_message=SAID,
    )


def named(count: int) -> list[Entry]:
    """Return entries `request-0`, `request-1`, … a second apart."""
    return [entry(f"request-{n}")._replace(started_at=START + timedelta(seconds=n)) for n in range(count)]


def url_of(folder: Path) -> str:
    """Return the URL of the ledger in a folder."""
    return f"sqlite:///{folder / 'ledger.sqlite'}"
