"""Brings a ledger's tables up to date, and refuses those of a newer Tandem."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import OperationalError

from tandem.ledger.database import engine_for, explained, shown, sqlite_file
from tandem.ledger.errors import LedgerUnusable

REVISION: Final = "0004"
"""The newest migration: what this Tandem reads and writes."""
REVISION_TABLE: Final = "ledger_revision"
MIGRATIONS: Final = Path(__file__).with_name("migrations")
WAIT_SECONDS: Final = 10.0
"""Longest wait for another process that migrates, or reads, at the same time."""
_LOCK_KEY: Final = 0x7A9DE311
"""Names this lock among PostgreSQL's advisory locks."""


def migrate(url: str) -> None:
    """Make the ledger if it is not there, and bring it up to date; several processes may do so at once.

    Raises:
        LedgerUnusable: it cannot be opened, or a newer Tandem made it.
    """
    with explained(url):
        file = sqlite_file(url)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
        engine = engine_for(url, WAIT_SECONDS)
        try:
            if _revision(engine) != REVISION:
                _upgrade(engine, url)
        finally:
            engine.dispose()


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """Give a connection to a ledger that is there and up to date.

    Raises:
        LedgerUnusable: it is not, or cannot be opened.
    """
    file = sqlite_file(url)
    if file and not file.is_file():
        raise LedgerUnusable(
            f"there is no ledger {file}: nothing has been booked there yet. Start `tandem up`, or name the ledger "
            "with --database"
        )
    engine = engine_for(url, WAIT_SECONDS)
    try:
        with explained(url):
            found = _revision(engine)
            if found != REVISION:
                raise LedgerUnusable(_mismatch(url, found))
            with engine.connect() as connection:
                yield connection
    finally:
        engine.dispose()


def _revision(engine: Engine) -> str | None:
    """Return the revision of the tables; None: there are none."""
    with engine.connect() as connection:
        return _revision_on(connection)


def _revision_on(connection: Connection) -> str | None:
    if not inspect(connection).has_table(REVISION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {REVISION_TABLE}")).scalar()  # noqa: S608 - a constant
    return None if found is None else str(found)


def _mismatch(url: str, found: str | None) -> str:
    if found is None:
        return f"{shown(url)} holds no ledger; name the database that Tandem writes to"
    if found > REVISION:
        return (
            f"the ledger {shown(url)} was made by a newer Tandem (revision {found}, this one knows {REVISION}); "
            "upgrade Tandem, or name another ledger"
        )
    return (
        f"the ledger {shown(url)} is older than this Tandem (revision {found}, needed {REVISION}); it is brought up "
        "to date when `tandem up` or the orchestrator starts with it"
    )


def _upgrade(engine: Engine, url: str) -> None:
    # Alembic takes time and memory that only a new or an old ledger needs.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    with engine.connect() as connection:
        _lock(connection)
        found = _revision_on(connection)
        if found is not None and found > REVISION:
            raise LedgerUnusable(_mismatch(url, found))
        config = Config(attributes={"connection": connection, "version_table": REVISION_TABLE})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, REVISION)
        connection.commit()


def _lock(connection: Connection) -> None:
    """Keep other processes from migrating until the transaction ends."""
    if connection.dialect.name == "sqlite":
        _keep_write_ahead_log(connection)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})


def _keep_write_ahead_log(connection: Connection) -> None:
    """Let readers and the writer work side by side. The change itself does not wait for locks as others do."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        except OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
