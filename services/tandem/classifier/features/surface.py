"""Counts the form of a text: length, kinds of characters, options, items, blanks, how it ends."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features.alphabet import Class
from tandem.classifier.features.scan import Scan

_LITERALS: Final = (
    "__",
    "()",
    "（）",
    "```",
    "$$",
    "\\(",
    "\\[",
    "://",
    "==",
    "def ",
    "::",
    "；\n",
    "|",
    "^{",
    "、",
)
_ENDINGS: Final = ("?", "？", ":", "：", ".", "。", ")", "）", "_")
_LAST_OPTION: Final = ord("j")
_FIRST_OPTION: Final = ord("a")
_COUNTED: Final = (
    "characters",
    "words",
    "longest word",
    "mean word",
    "numbers",
    "options",
    "items",
    *(f"count of {literal!r}" for literal in _LITERALS),
)
SURFACE_NAMES: Final = (
    *(f"count of {kind.name.lower()}" for kind in Class),
    *_COUNTED,
    *(f"share of {kind.name.lower()}" for kind in Class),
    *(f"ends with {ending}" for ending in _ENDINGS),
)
"""What each number is. Counts are given as ln(1 + count)."""

_SHARES: Final = len(Class) + len(_COUNTED)
_FLAGS: Final = _SHARES + len(Class)


def surface(text: str, characters: int, scan: Scan) -> NDArray[np.float64]:
    """Return the form of a text that is a sample of so many characters; shape [len(SURFACE_NAMES)]."""
    counts = np.bincount(scan.classes, minlength=len(Class))
    found = np.empty(len(SURFACE_NAMES))
    found[: len(Class)] = counts
    found[len(Class) : _SHARES] = [characters, *_words(scan), *map(text.count, _LITERALS)]
    np.log1p(found[:_SHARES], out=found[:_SHARES])
    found[_SHARES:_FLAGS] = counts / len(scan.classes)
    end = text[-40:].rstrip()
    found[_FLAGS:] = [end.endswith(ending) for ending in _ENDINGS]
    return found


def _words(scan: Scan) -> tuple[float, ...]:
    starts, ends = scan.starts, scan.ends
    count = len(starts)
    if not count:
        return 0, 0, 0, 0, 0, 0
    lengths = ends - starts
    first = scan.codes[starts]
    numeric = scan.kept_classes[starts] == Class.DIGIT
    closed = scan.kept_classes[ends]
    short = lengths <= 2
    pointed = short & ((closed == Class.STOP) | (closed == Class.ROUND) | (closed == Class.COMMA))
    letters = pointed & (lengths == 1) & (first - np.uint32(_FIRST_OPTION) <= _LAST_OPTION - _FIRST_OPTION)
    return (
        count,
        int(lengths.max()),
        float(lengths.mean()),
        int(numeric.sum()),
        int(letters.sum()),
        int((pointed & numeric).sum()),
    )
