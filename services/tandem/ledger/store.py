"""Appends entries to the database, each once whatever happens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Final

from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import SQLAlchemyError

from tandem.ledger.database import engine_for, sqlite_file
from tandem.ledger.rows import Row, Rows
from tandem.ledger.schema import migrate
from tandem.ledger.tables import attempts, degradations, prompts, requests

ROWS_PER_STATEMENT: Final = 128
"""A power of two, as are the sizes of smaller statements: there are few of them, and each is parsed once."""
WAIT_SECONDS: Final = 1.0
"""Longest wait for another process that holds SQLite's lock, before the entries are kept for another try."""


class FileGone(OSError):
    """The database's file was removed or replaced while it was open."""


class Store:
    """The tables of one ledger, for the one thread that writes them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._file = sqlite_file(url)
        self._connection: Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._in_doubt = False

    def append(self, entries: Sequence[Rows]) -> None:
        """Write all of them in one transaction, or none.

        After an error nobody knows which: what is appended next is compared with what is there.

        Raises:
            Exception: whatever is wrong with the database; try again later.
        """
        in_doubt, self._in_doubt = self._in_doubt, True
        connection = self._connection or self._open()
        with connection.begin():
            if in_doubt:
                entries = _without_known(connection, entries)
            _insert(connection, requests, [entry.request for entry in entries])
            _insert(connection, attempts, [row for entry in entries for row in entry.attempts])
            _insert(connection, degradations, [row for entry in entries for row in entry.degradations])
            _insert(connection, prompts, [row for entry in entries for row in entry.prompts])
        if self._file and self._identity() != self._opened:
            raise FileGone(f"{self._file} was removed or replaced")
        self._in_doubt = False

    def close(self) -> None:
        """Close the database; `append` opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()
            connection.engine.dispose()

    def _open(self) -> Connection:
        migrate(self._url)
        # One for all batches: lending it anew takes as long as writing two entries.
        self._connection = engine_for(self._url, WAIT_SECONDS).connect()
        self._opened = self._identity()
        return self._connection

    def _identity(self) -> tuple[int, int] | None:
        """Return what tells the file apart from another in its place."""
        try:
            status = self._file.stat() if self._file else None
        except FileNotFoundError:
            return None
        return (status.st_dev, status.st_ino) if status else None


def _without_known(connection: Connection, entries: Sequence[Rows]) -> list[Rows]:
    keys = [entry.id for entry in entries]
    known = set(connection.scalars(select(requests.c.id).where(requests.c.id.in_(keys))))
    return [entry for entry in entries if entry.id not in known]


def _insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, many in a statement.

    The driver lets go of Python's lock once per statement, and while the event loop is busy each return takes
    milliseconds: with a statement per row the writer would not keep up.
    """
    start, size = 0, ROWS_PER_STATEMENT
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        connection.exec_driver_sql(
            _statement(table, size, connection.dialect.paramstyle),
            tuple(chain.from_iterable(rows[start : start + size])),
        )
        start += size


@lru_cache(maxsize=128)
def _statement(table: Table, rows: int, paramstyle: str) -> str:
    mark = "?" if paramstyle == "qmark" else "%s"
    values = f"({', '.join([mark] * len(table.c))})"
    columns = ", ".join(table.c.keys())
    return f"INSERT INTO {table.name} ({columns}) VALUES {', '.join([values] * rows)}"  # noqa: S608 - names of ours
