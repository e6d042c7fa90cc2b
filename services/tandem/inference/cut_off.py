"""What attempts that were cut off had sent, for the case that no engine says what they took."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from tandem.v1 import types_pb2

REMEMBERED: Final = 1000
"""Attempts that are remembered; the oldest are forgotten first."""


class CutOff:
    """The newest attempts of a tier that ended early."""

    def __init__(self) -> None:
        self._usages: OrderedDict[tuple[str, int], types_pb2.Usage] = OrderedDict()

    def note(self, request_id: str, attempt: int, usage: types_pb2.Usage) -> None:
        """Remember what an attempt had sent when it ended."""
        self._usages[request_id, attempt] = usage
        if len(self._usages) > REMEMBERED:
            self._usages.popitem(last=False)

    def usage(self, request_id: str, attempt: int) -> types_pb2.Usage:
        """Return what an attempt had sent; nothing if it is not known."""
        return self._usages.get((request_id, attempt), types_pb2.Usage())
