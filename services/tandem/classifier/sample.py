"""Bounds the text that is looked at, whatever its length."""

from __future__ import annotations

from typing import Final

QUESTION_CHARACTERS: Final = 6000
"""Longest text that is judged whole."""


def ends(text: str, characters: int = QUESTION_CHARACTERS) -> str:
    """Return a text of at most `characters` + 1: as it is, or its beginning and its end, half each.

    People put what they want before or after a long material, so the middle is what can be spared.
    """
    if len(text) <= characters:
        return text
    half = characters // 2
    return f"{text[:half]}\n{text[len(text) - half :]}"


def stride(text: str, characters: int) -> str:
    """Return at most `characters` of a text, evenly spread over it: for counting, not for reading."""
    return text[:: -(-len(text) // characters)] if text else ""
