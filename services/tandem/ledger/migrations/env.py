"""What Alembic runs: the migrations, on the connection and in the transaction that `tandem.ledger.schema` gives."""

from __future__ import annotations

from alembic import context

from tandem.ledger.tables import metadata

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=metadata,
    version_table=attributes["version_table"],
)
context.run_migrations()
