"""The words for the values of the contract's enums, as the ledger, metrics and traces have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Enum(Protocol):
    """An enum of the contract."""

    def items(self) -> Iterable[tuple[str, int]]:
        """Its values by name."""


def enum_words(enum: Enum, prefix: str, unspecified: str | None) -> dict[int, str]:
    """Return the values of an enum in small letters, without their prefix.

    `unspecified` is the word for the value that stands for none; None: it has no word.
    """
    words = {number: name.removeprefix(prefix).lower() for name, number in enum.items() if number}
    return words if unspecified is None else {0: unspecified, **words}
