"""What can be wrong with a ledger, or with what is asked of it."""

from __future__ import annotations

from collections.abc import Sequence


class LedgerUnusable(Exception):
    """The ledger cannot be opened. The message says which one, why, and what to do."""


class RequestUnknown(Exception):
    """The ledger has no such request."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no request {name} in the ledger, and none whose identifier begins so; it is booked when it has ended"
        )


class PrefixAmbiguous(Exception):
    """The identifiers of several requests begin with what was asked for.

    Args:
        name: what was asked for.
        matches: some of the identifiers.
        more: whether there are others.
    """

    def __init__(self, name: str, matches: Sequence[str], *, more: bool) -> None:
        self.matches = list(matches)
        listed = ", ".join(matches) + (", …" if more else "")
        super().__init__(f"{name} is the beginning of several identifiers ({listed}); write more of it")
