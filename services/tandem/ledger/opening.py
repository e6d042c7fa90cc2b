"""Opens the ledger that the settings name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tandem.ledger.entry import Ledger, NoLedger


def open_ledger(url: str) -> Ledger:
    """Return the ledger at a SQLAlchemy URL, brought up to date; for an empty URL one that keeps nothing.

    Raises:
        LedgerUnusable: it cannot be opened, or a newer Tandem made it.
    """
    if not url:
        return NoLedger()
    check_ledger(url)
    from tandem.ledger.store import Store  # noqa: PLC0415 - SQLAlchemy is only loaded where a ledger is kept
    from tandem.ledger.writer import LedgerWriter  # noqa: PLC0415 - likewise

    return LedgerWriter(Store(url))


@asynccontextmanager
async def opened_ledger(url: str) -> AsyncIterator[Ledger]:
    """Give the ledger at a URL, and close it at the end. Raises as `open_ledger`."""
    ledger = open_ledger(url)
    try:
        yield ledger
    finally:
        await ledger.close()


def check_ledger(url: str) -> None:
    """Make the ledger if it is not there, and bring it up to date. Raises as `open_ledger`."""
    if url:
        from tandem.ledger.schema import migrate  # noqa: PLC0415 - likewise

        migrate(url)
