"""Connections to the database that holds a ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from tandem.ledger.errors import LedgerUnusable

CACHED_STATEMENTS: Final = 32
"""Statements that SQLite's driver keeps: eight sizes for each table of the writer."""


def parse(url: str) -> URL:
    """Return a ledger's URL in its parts.

    Raises:
        LedgerUnusable: it is not the URL of a database, or of one that lasts.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise LedgerUnusable(
            f"{url!r} is not the URL of a ledger; write one such as sqlite:////var/lib/tandem/ledger.sqlite "
            "or postgresql+psycopg://user:password@host/tandem"
        ) from error
    if parsed.get_backend_name() == "sqlite" and (parsed.database or ":memory:").startswith((":", "file:")):
        raise LedgerUnusable(
            f"{url!r} names no file, so nothing would last; write sqlite:////folder/ledger.sqlite"
        )
    return parsed


def shown(url: str) -> str:
    """Return a URL without its password."""
    return parse(url).render_as_string(hide_password=True)


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite database; None for any other."""
    parsed = parse(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def engine_for(url: str, wait_seconds: float) -> Engine:
    """Return an engine that opens one connection at a time.

    Args:
        url: where the ledger is.
        wait_seconds: longest wait for another process that holds SQLite's lock.

    Raises:
        LedgerUnusable: the URL is wrong or its driver is not installed.
    """
    parsed, options = parse(url), {}
    if parsed.get_backend_name() == "sqlite":
        options = {"timeout": wait_seconds, "cached_statements": CACHED_STATEMENTS}
    try:
        engine = create_engine(parsed, connect_args=options, pool_size=1, max_overflow=0)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise LedgerUnusable(
            f"there is no driver for {shown(url)}: {error}; install it (PostgreSQL: pip install 'psycopg[binary]', "
            "and a URL that begins with postgresql+psycopg://)"
        ) from error
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        # Without an adapter the driver looks in vain for one, value by value, which takes ten times as long.
        sqlite3.register_adapter(type(None), _itself)
        sqlite3.register_adapter(bool, int)
    return engine


def _itself(value: None) -> None:
    return value


def _set_up_sqlite(connection: Any, _: object) -> None:
    # With a write-ahead log NORMAL loses nothing when the process dies, and never the database.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn errors of the database into `LedgerUnusable`."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise LedgerUnusable(
            f"the ledger {shown(url)} cannot be used: {str(cause).strip()}. Check that the database is there, that "
            "this user may write to it and that its disk is not full, or name another ledger"
        ) from error
