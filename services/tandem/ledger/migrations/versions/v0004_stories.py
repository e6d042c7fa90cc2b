"""Why a request went where it did, how its time was divided, where attempts took over, and its trace."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add them."""
    op.add_column("requests", sa.Column("trace_id", sa.String(32)))
    op.add_column("requests", sa.Column("rule", sa.String))
    op.add_column("requests", sa.Column("chosen_by", sa.String))
    op.add_column("requests", sa.Column("threshold", sa.Float))
    op.add_column("requests", sa.Column("margin_ms", sa.Float))
    op.add_column("requests", sa.Column("reserve_ms", sa.Float))
    op.create_index("ix_requests_trace_id", "requests", ["trace_id"])
    op.add_column("attempts", sa.Column("seam_byte_offset", sa.BigInteger))
