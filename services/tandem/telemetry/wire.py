"""Parts of OTLP's messages as bytes.

A message of protobuf is its fields one after the other, in any order. So what comes again, such as an attribute with
its value, is kept as bytes, and a span is put together of them: a tenth of what it takes to build it as a message and
have that written. A test compares the bytes with those of OpenTelemetry's own encoder.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, TypeAlias

Value: TypeAlias = str | bool | int | float | tuple[str, ...]
"""What an attribute may have."""
Attributes: TypeAlias = dict[str, Value]

MOST_KEPT: Final = 4096
"""Attributes of a type whose bytes are kept; then all are forgotten."""
LONGEST_KEPT: Final = 64
"""Characters of the longest text that is kept: a longer one hardly comes again."""
OF_SPAN: Final = b"\x4a"
"""Begins an attribute in a span: field 9."""
OF_EVENT: Final = b"\x1a"
"""In an event: field 3."""
OF_LINK: Final = b"\x22"
"""In a link: field 4."""
OF_RESOURCE: Final = b"\x0a"
"""In what tells of the process: field 1."""

_DOUBLE: Final = struct.Struct("<d")
_UNSIGNED: Final = (1 << 64) - 1


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


_SMALL: Final = tuple(map(_varint, range(1024)))


def varint(number: int) -> bytes:
    """Return a whole number from 0 as protobuf writes it."""
    return _SMALL[number] if number < len(_SMALL) else _varint(number)


def framed(tag: bytes, body: bytes) -> bytes:
    """Return a field that is a text or a message: its tag, its length, itself."""
    return tag + varint(len(body)) + body


class AttributeBytes:
    """Makes the bytes of attributes, and keeps those that come again. For one thread."""

    def __init__(self) -> None:
        # By type, since 1 and True are the same key.
        self._kept: dict[type, dict[tuple[str, Value], bytes]] = {str: {}, int: {}, bool: {}, tuple: {}}
        self._numbers: dict[str, bytes] = {}

    def of_span(self, attributes: Attributes) -> list[bytes]:
        """Return the fields of a span that are its attributes."""
        found = []
        kept, numbers = self._kept, self._numbers
        for pair in attributes.items():
            kind = type(pair[1])
            if kind is float:
                before = numbers.get(pair[0])
                if before is None:
                    # The number stands at the end.
                    before = numbers[pair[0]] = _lone(pair[0], 0.0)[: -_DOUBLE.size]
                found.append(before + _DOUBLE.pack(pair[1]))
            else:
                found.append(kept[kind].get(pair) or self._new(pair))
        return found

    def within(self, tag: bytes, attributes: Mapping[str, Value]) -> bytes:
        """Return the fields that are attributes of another message."""
        return b"".join(tag + _lone(*pair)[1:] for pair in attributes.items())

    def _new(self, pair: tuple[str, Value]) -> bytes:
        key, value = pair
        made = _lone(key, value)
        if not isinstance(value, str) or len(value) <= LONGEST_KEPT:
            kept = self._kept[type(value)]
            if len(kept) >= MOST_KEPT:
                kept.clear()
            kept[pair] = made
        return made


def _lone(key: str, value: Value) -> bytes:
    """Return the field of a span that is this attribute."""
    return framed(OF_SPAN, framed(b"\x0a", key.encode()) + framed(b"\x12", _value(value)))


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return framed(b"\x0a", value.encode())
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + varint(value & _UNSIGNED)
    if isinstance(value, float):
        return b"\x21" + _DOUBLE.pack(value)
    return framed(b"\x2a", b"".join(framed(b"\x0a", _value(each)) for each in value))
