"""Whose answer feedback is about, and prompts where the operator wants them kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make them."""
    op.add_column("feedback", sa.Column("tier", sa.String))
    op.create_table(
        "prompts",
        sa.Column("request", sa.String(32), nullable=False),
        sa.Column("messages", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("request", name="pk_prompts"),
        sa.ForeignKeyConstraint(["request"], ["requests.id"], name="fk_prompts_request", ondelete="CASCADE"),
    )
