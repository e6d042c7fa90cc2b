"""What can be wrong with a ledger."""

from __future__ import annotations


class LedgerUnusable(Exception):
    """The ledger cannot be opened. The message says which one, why, and what to do."""
