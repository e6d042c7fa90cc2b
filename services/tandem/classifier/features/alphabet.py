"""What a character is: its class, and the code it is hashed as.

Both are tables over code points, filled from fixed ranges and not from the Unicode version of the interpreter, so that
every Python finds the same. Code points past the last ideographs share the last entry.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint32]
Classes = NDArray[np.uint8]

LIMIT: Final = 0x32400
"""Entries of a table: up to the end of the ideographs of plane 3."""


class Class(IntEnum):
    """Kinds of characters. What makes words stands first: comparisons rely on the order."""

    LATIN = 0
    LETTER = 1
    DIGIT = 2
    IDEOGRAPH = 3
    SPACE = 4
    NEWLINE = 5
    QUESTION = 6
    STOP = 7
    COMMA = 8
    COLON = 9
    EXCLAMATION = 10
    QUOTE = 11
    ROUND = 12
    ANGULAR = 13
    OPERATOR = 14
    BACKSLASH = 15
    DOLLAR = 16
    UNDERSCORE = 17
    DASH = 18
    MARK = 19
    SYMBOL = 20
    """Mathematical and other symbols beyond ASCII, emoji among them."""


LAST_INNER: Final = Class.DIGIT
"""Runs of classes up to this one are words."""
LAST_WORD: Final = Class.IDEOGRAPH

_RANGES: Final = (
    (
        Class.LETTER,
        ((0xAA, 0xAA), (0xB5, 0xB5), (0xBA, 0xBA), (0x250, 0x1FFF), (0x2C00, 0x2DFF), (0x3130, 0x318F)),
    ),
    (
        Class.LETTER,
        ((0xA000, 0xD7FF), (0xFB00, 0xFDFF), (0xFE70, 0xFEFF), (0x10000, 0x1CFFF), (0x1E000, 0x1EFFF)),
    ),
    (Class.LATIN, ((0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x24F))),
    (
        Class.IDEOGRAPH,
        ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF)),
    ),
    (Class.IDEOGRAPH, ((0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, LIMIT - 2))),
    (
        Class.SPACE,
        ((0, 0x20), (0x7F, 0xA0), (0xAD, 0xAD), (0x1680, 0x1680), (0x2000, 0x200F), (0x2028, 0x202F)),
    ),
    (Class.SPACE, ((0x205F, 0x206F), (0x3000, 0x3000), (0xD800, 0xDFFF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF))),
)
_CHARACTERS: Final = {
    Class.NEWLINE: "\n",
    Class.QUESTION: "?？¿؟",
    Class.STOP: ".。．…",
    Class.COMMA: ",，、;；،",
    Class.COLON: ":：",
    Class.EXCLAMATION: "!！",
    Class.QUOTE: "\"'`‘’“”「」『』«»",
    Class.ROUND: "()（）",
    Class.ANGULAR: "[]{}【】《》〈〉［］",
    Class.OPERATOR: "+*/=<>^%|~&±×÷≤≥≠≈√∑∫∂∞∈∪∩→⇒°′",
    Class.BACKSLASH: "\\",
    Class.DOLLAR: "$￥¥€£",
    Class.UNDERSCORE: "_",
    Class.DASH: "-–—−‐",
    Class.MARK: "#@",
}
_CASED: Final = ((0x41, 0x5A), (0xC0, 0x24F), (0x370, 0x58F), (0x1E00, 0x1FFF))
_FULL_WIDTH: Final = (0xFF01, 0xFF5E)
_FULL_WIDTH_DISTANCE: Final = 0xFEE0
_SAME: Final = {"‘": "'", "’": "'", "“": '"', "”": '"', "。": ".", "、": ",", "–": "-", "—": "-", "−": "-"}


def _class_table() -> Classes:
    table = np.full(LIMIT, Class.SYMBOL, np.uint8)
    for kind, ranges in _RANGES:
        for first, last in ranges:
            table[first : last + 1] = kind
    table[ord("0") : ord("9") + 1] = Class.DIGIT
    table[ord("A") : ord("Z") + 1] = table[ord("a") : ord("z") + 1] = Class.LATIN
    for kind, characters in _CHARACTERS.items():
        table[[ord(character) for character in characters]] = kind
    first, last = _FULL_WIDTH
    table[first : last + 1] = table[first - _FULL_WIDTH_DISTANCE : last + 1 - _FULL_WIDTH_DISTANCE]
    return table


def _code_table() -> Codes:
    table = np.arange(LIMIT, dtype=np.uint32)
    for first, last in _CASED:
        lowered = [chr(code).lower() for code in range(first, last + 1)]
        table[first : last + 1] = [
            ord(lower) if len(lower) == 1 else first + at for at, lower in enumerate(lowered)
        ]
    for character, same in _SAME.items():
        table[ord(character)] = ord(same)
    first, last = _FULL_WIDTH
    table[first : last + 1] = table[first - _FULL_WIDTH_DISTANCE : last + 1 - _FULL_WIDTH_DISTANCE]
    table[CLASS_OF == Class.SPACE] = table[ord("\n")] = ord(" ")
    return table


CLASS_OF: Final = _class_table()
"""Class of a code point."""
CODE_OF: Final = _code_table()
"""Code that a code point is hashed as: lower case, full width as ASCII, every blank a space."""


def code_points(text: str) -> Codes:
    """Return the code points of a text, lone surrogates included; shape [characters]."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
