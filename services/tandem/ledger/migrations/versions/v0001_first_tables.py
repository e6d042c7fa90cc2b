"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    _requests()
    _attempts()
    _degradations()
    _feedback()


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("started_at", sa.String(27), nullable=False),
        sa.Column("duration_ms", sa.Float, nullable=False),
        sa.Column("deadline_ms", sa.Float, nullable=False),
        sa.Column("ttft_ms", sa.Float),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("strategy", sa.String),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("tier", sa.String),
        sa.Column("variant", sa.String),
        sa.Column("cache", sa.String),
        sa.Column("source_request_id", sa.String),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger, nullable=False),
        sa.Column("confidence", sa.Float),
        sa.Column("policy_revision", sa.String),
        sa.Column("artifact_revision", sa.String),
        sa.Column("task", sa.String),
        sa.Column("domain", sa.String),
        sa.Column("language", sa.String),
        sa.Column("complexity", sa.Float),
        sa.Column("r1_suffices", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
    )
    op.create_index("ix_requests_request_id", "requests", ["request_id"])
    op.create_index("ix_requests_started_at", "requests", ["started_at"])
    op.create_index("ix_requests_tenant_started_at", "requests", ["tenant", "started_at"])


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("request", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("purpose", sa.String),
        sa.Column("tier", sa.String, nullable=False),
        sa.Column("variant", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("outcome", sa.String),
        sa.Column("finish_reason", sa.String),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("usage_settled", sa.Boolean, nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.Float, nullable=False),
        sa.Column("queued_ms", sa.Float, nullable=False),
        sa.Column("ttft_ms", sa.Float),
        sa.Column("duration_ms", sa.Float, nullable=False),
        sa.Column("allowance_ms", sa.Float, nullable=False),
        sa.Column("confidence", sa.Float),
        sa.Column("error_reason", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("request", "position", name="pk_attempts"),
        sa.ForeignKeyConstraint(["request"], ["requests.id"], name="fk_attempts_request", ondelete="CASCADE"),
    )


def _degradations() -> None:
    op.create_table(
        "degradations",
        sa.Column("request", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("from_tier", sa.String),
        sa.Column("from_variant", sa.String),
        sa.Column("to_tier", sa.String),
        sa.Column("to_variant", sa.String),
        sa.Column("max_tokens", sa.Integer),
        sa.PrimaryKeyConstraint("request", "position", name="pk_degradations"),
        sa.ForeignKeyConstraint(
            ["request"], ["requests.id"], name="fk_degradations_request", ondelete="CASCADE"
        ),
    )


def _feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.CheckConstraint("score BETWEEN -1 AND 1", name="ck_feedback_score"),
        sa.CheckConstraint("source IN ('user', 'judge', 'human')", name="ck_feedback_source"),
    )
    op.create_index("ix_feedback_request_id", "feedback", ["request_id"])
