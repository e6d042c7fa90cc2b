"""A response whose only field is a message, written without a copy of that message."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

_LENGTH_DELIMITED: Final = 2
_CONTINUED: Final = 0x80


class Envelope:
    """Stands for a response with one field: putting a message into another one writes, reads and writes it again.

    Args:
        field: the number of the field.
        content: the message.
    """

    __slots__ = ("_content", "_field")

    def __init__(self, field: int, content: Message) -> None:
        self._field = field
        self._content = content

    def SerializeToString(self) -> bytes:  # noqa: N802 - as messages have it
        """Return the bytes of the response (https://protobuf.dev/programming-guides/encoding/)."""
        content = self._content.SerializeToString()
        return _varint(self._field << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Return a whole number, 0 or above, seven bits to a byte, the lowest first."""
    written = bytearray()
    while number >= _CONTINUED:
        written.append(number & (_CONTINUED - 1) | _CONTINUED)
        number >>= 7
    written.append(number)
    return bytes(written)
