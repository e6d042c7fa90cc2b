"""The language that the model speaks: `t0 t1 t2 …`, every eighth word the end of a sentence, one word a token."""

from __future__ import annotations

import re
import zlib
from typing import Final

WORDS: Final = 4096
"""Words that the model can say; token n is the word `tn`."""
OTHERS: Final = 1024
"""Tokens for all other words, which share them."""
TOKENS: Final = WORDS + OTHERS

_OWN: Final = re.compile(r"t(\d+)\.?")
_LENGTH: Final = re.compile(r"\b(\d+) words\b")


def read(prompt: str) -> list[int]:
    """Return the tokens of a prompt."""
    return [_token(word) for word in prompt.split()]


def word(token: int) -> str:
    """Return the text of a token that the model made, with the space before it."""
    return f"{' ' if token else ''}t{token}{'.' if token % 8 == 7 else ''}"


def successor(token: int) -> int:
    """Return what follows a token: the next word, and after all other words the first."""
    return token + 1 if token < WORDS - 1 else 0


def wanted_words(prompt: str) -> int:
    """Return the length of the answer that the prompt asks for, as in `Say 40 words.`; else all words."""
    found = _LENGTH.findall(prompt)
    return min(int(found[-1]), WORDS) if found else WORDS


def _token(text: str) -> int:
    own = _OWN.fullmatch(text)
    if own and int(own[1]) < WORDS:
        return int(own[1])
    return WORDS + zlib.crc32(text.encode()) % OTHERS
