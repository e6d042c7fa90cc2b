"""Counts the form of a text: length, kinds of characters, options, items, blanks, how it ends."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features.alphabet import LAST_WORD, Class
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
LONGEST_MARK: Final = 2
"""Longest number of an item, such as `12.`; an option has one letter."""
_FIRST_OPTION: Final = np.uint32(ord("a"))
_OPTIONS: Final = np.uint32(ord("j") - ord("a"))
_DIGIT: Final = int(Class.DIGIT)
_CLOSING: Final = np.isin(np.arange(len(Class)), (Class.STOP, Class.ROUND, Class.COMMA))
"""Whether a class closes an option or the number of an item."""
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
    inner = sum(counts[: LAST_WORD + 1].tolist())
    found = np.empty(len(SURFACE_NAMES))
    found[: len(Class)] = counts
    found[len(Class) : _SHARES] = [characters, *_words(scan, inner), *map(text.count, _LITERALS)]
    np.log1p(found[:_SHARES], out=found[:_SHARES])
    np.divide(counts, len(scan.classes), out=found[_SHARES:_FLAGS])
    end = text[-40:].rstrip()
    found[_FLAGS:] = [end.endswith(ending) for ending in _ENDINGS]
    return found


def _words(scan: Scan, inner: int) -> tuple[float, ...]:
    """Return count, longest, mean, numbers, options and items of the words, which have so many characters together."""
    starts, ends = scan.starts, scan.ends
    count = len(starts)
    if not count:
        return 0, 0, 0, 0, 0, 0
    classes = scan.kept_classes
    lengths = ends - starts
    numeric = classes[starts] == _DIGIT
    pointed = np.flatnonzero(_CLOSING[classes[ends]] & (lengths <= LONGEST_MARK))
    letters = items = 0
    if len(pointed):
        items = int(np.count_nonzero(numeric[pointed]))
        alone = pointed[lengths[pointed] == 1]
        letters = int(np.count_nonzero(scan.codes[starts[alone]] - _FIRST_OPTION <= _OPTIONS))
    return (
        count,
        int(np.maximum.reduce(lengths)),
        inner / count,
        int(np.count_nonzero(numeric)),
        letters,
        items,
    )
