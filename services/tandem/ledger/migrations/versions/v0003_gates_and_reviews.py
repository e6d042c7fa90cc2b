"""What the gate of a cascade said about a draft, and which review an answer needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add them."""
    op.add_column("requests", sa.Column("gate_probability", sa.Float))
    op.add_column("requests", sa.Column("gate_agreement", sa.Float))
    op.add_column("requests", sa.Column("review_id", sa.String))
    op.add_column("requests", sa.Column("review_status", sa.String))
