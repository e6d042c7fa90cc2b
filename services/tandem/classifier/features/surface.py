"""Names the numbers of a text's form: length, kinds of characters, options, items, blanks, how it ends."""

from __future__ import annotations

from typing import Final

from tandem.classifier.features.alphabet import Class

LITERALS: Final = (
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
ENDINGS: Final = ("?", "？", ":", "：", ".", "。", ")", "）", "_")
_COUNTED: Final = (
    "characters",
    "words",
    "longest word",
    "mean word",
    "numbers",
    "options",
    "items",
    *(f"count of {literal!r}" for literal in LITERALS),
)
SURFACE_NAMES: Final = (
    *(f"count of {kind.name.lower()}" for kind in Class),
    *_COUNTED,
    *(f"share of {kind.name.lower()}" for kind in Class),
    *(f"ends with {ending}" for ending in ENDINGS),
)
"""What each number is. Counts are given as ln(1 + count)."""
