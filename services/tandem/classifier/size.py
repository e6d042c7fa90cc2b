"""Estimates how many tokens a conversation has, without a tokenizer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tandem.classifier.sample import stride
from tandem.v1 import types_pb2

COUNTED_CHARACTERS: Final = 4096
"""Longest text whose wide characters are all counted; of a longer one as many are, evenly spread."""
ASCII_PER_TOKEN: Final = 4.0
OTHER_PER_TOKEN: Final = 2.0
"""Characters per token in alphabets that tokenizers know less well."""
MESSAGE_TOKENS: Final = 4
"""What a chat template adds to a message."""
IMAGE_TOKENS: Final = 1024
AUDIO_TOKENS: Final = 768
"""About half a minute, at 25 tokens a second."""
LIMIT: Final = 2**32 - 1

_WIDE: Final = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]+")
_ASCII: Final = re.compile("[\x00-\x7f]+")


def context_tokens(messages: Sequence[types_pb2.Message]) -> int:
    """Return the estimated tokens of all messages, at most what the contract's field holds."""
    parts = [part for message in messages[:] for part in message.parts[:]]
    total = MESSAGE_TOKENS * len(messages) + sum(map(_part_tokens, parts))
    return min(round(total), LIMIT)


def text_tokens(text: str) -> float:
    """Return the estimated tokens of a text: one per Chinese, Japanese or Korean character, else by characters."""
    if text.isascii():
        return len(text) / ASCII_PER_TOKEN
    counted = stride(text, COUNTED_CHARACTERS)
    wide = _length(_WIDE, counted)
    narrow = _length(_ASCII, counted)
    other = len(counted) - wide - narrow
    return (wide + narrow / ASCII_PER_TOKEN + other / OTHER_PER_TOKEN) * len(text) / len(counted)


def _length(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))


def _part_tokens(part: types_pb2.Part) -> float:
    kind = part.WhichOneof("content")
    if kind == "text":
        return text_tokens(part.text)
    return IMAGE_TOKENS if kind == "image" else AUDIO_TOKENS
