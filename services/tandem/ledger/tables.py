"""The tables.

No column holds what a model said, and only `prompts` what a user said: it stays empty unless the operator wants it.
Reasons are words of the contract, messages of errors are left out.

Times of day are UTC text, `2026-11-24T09:30:00.000000Z`: it sorts as the time does, in every database. Money is
billionths of a US dollar. A change here needs a migration; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

requests: Final = Table(
    "requests",
    metadata,
    Column(
        "id", String(32), primary_key=True
    ),  # the ledger's own: clients choose request_id and may repeat it
    Column("request_id", String, nullable=False, index=True),
    Column("tenant", String, nullable=False),
    Column("started_at", String(27), nullable=False, index=True),
    Column("duration_ms", Float, nullable=False),
    Column("deadline_ms", Float, nullable=False),
    Column("ttft_ms", Float),
    Column("method", String, nullable=False),
    Column("strategy", String),
    Column("outcome", String, nullable=False),  # answered, degraded, error or cancelled
    Column("reason", String, nullable=False),  # ErrorInfo.reason; empty: none
    Column("tier", String),
    Column("variant", String),
    Column("cache", String),
    Column("source_request_id", String),
    Column("input_tokens", BigInteger, nullable=False),  # of all attempts, as are the next two
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_nano_usd", BigInteger, nullable=False),
    Column("confidence", Float),
    Column("policy_revision", String),
    Column("artifact_revision", String),
    Column("task", String),
    Column("domain", String),
    Column("language", String),
    Column("complexity", Float),
    Column("r1_suffices", Float),
    Column("gate_probability", Float),  # of a cascade: that the draft suffices
    Column("gate_agreement", Float),  # of the draft with its samples
    Column("review_id", String),
    Column("review_status", String),
    Column("trace_id", String(32), index=True),
    Column("rule", String),
    Column("chosen_by", String),
    Column("threshold", Float),  # what r1_suffices was compared with
    Column("margin_ms", Float),
    Column("reserve_ms", Float),
    Index(None, "tenant", "started_at"),
)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("request", ForeignKey(requests.c.id, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),  # in the request, from 0
    Column("purpose", String),
    Column("tier", String, nullable=False),
    Column("variant", String, nullable=False),
    Column("model", String, nullable=False),
    Column("outcome", String),
    Column("finish_reason", String),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("usage_settled", Boolean, nullable=False),  # the tokens are the engine's own count
    Column("cost_nano_usd", BigInteger, nullable=False),
    Column("started_ms", Float, nullable=False),  # from the start of the request
    Column("queued_ms", Float, nullable=False),
    Column("ttft_ms", Float),
    Column("duration_ms", Float, nullable=False),
    Column("allowance_ms", Float, nullable=False),
    Column("confidence", Float),
    Column("error_reason", String, nullable=False),  # empty: none
    Column("seam_byte_offset", BigInteger),  # where it took over; absent: nothing had been said
)

degradations: Final = Table(
    "degradations",
    metadata,
    Column("request", ForeignKey(requests.c.id, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("reason", String),
    Column("from_tier", String),
    Column("from_variant", String),
    Column("to_tier", String),
    Column("to_variant", String),
    Column("max_tokens", Integer),
)

feedback: Final = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("request_id", String, nullable=False, index=True),
    Column("tenant", String, nullable=False),
    Column("at", String(27), nullable=False),
    Column("score", Float, CheckConstraint("score BETWEEN -1 AND 1", name="score"), nullable=False),
    Column(
        "source",
        String,
        CheckConstraint("source IN ('user', 'judge', 'human')", name="source"),
        nullable=False,
    ),
    Column("tier", String),  # whose answer is meant; absent: the one that was given
)

prompts: Final = Table(
    "prompts",
    metadata,
    Column("request", ForeignKey(requests.c.id, ondelete="CASCADE"), primary_key=True),
    Column("messages", Text, nullable=False),  # JSON, as tandem.conversation_json writes it
)


def timestamp(moment: datetime) -> str:
    """Return a moment as the tables hold it."""
    # A format string takes twice as long.
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
