"""The answer: which tokens a request gets, known in full before the first one is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .directives import Directives
from .limits import Limits

GENERATION_HEADER = "<|im_start|>assistant\n"
_WORDS = re.compile(r"\s*\S+|\s+")
_REASONING_END = "</think>"
_default_tokens: list[str] = []


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    tokens: list[str]
    """The text in the pieces in which it is made; a token cut short by a stop string may be empty."""
    finish_reason: str
    """`stop` at the answer's own end or a stop string, `length` when max_tokens cut it."""


def default_token(position: int) -> str:
    """The token at a position of the endless default text, some of them not ASCII."""
    match position % 16:
        case 5:
            word = "量子"
        case 11:
            word = "🙂"
        case 7 | 15:
            word = f"t{position}."
        case _:
            word = f"t{position}"
    return f" {word}" if position else word


def default_tokens(count: int) -> list[str]:
    """The first tokens of the default text; the shared list grows and must not be changed."""
    while len(_default_tokens) < count:
        _default_tokens.append(default_token(len(_default_tokens)))
    return _default_tokens[:count]


def split_prompt(prompt: str) -> tuple[str, str]:
    """Cut a prompt into the conversation and the part of the answer that it already carries."""
    head, header, prefix = prompt.rpartition(GENERATION_HEADER)
    return (head, prefix) if header else (prompt, "")


def make_answer(directives: Directives, prefix: str, images: int, limits: Limits) -> Answer:
    """Decide every token of the answer that follows a prefix of it."""
    tokens = _whole(directives, images)
    if prefix:
        tokens = _continue(tokens, prefix, directives.chunk_chars)
    finish_reason = "stop"
    if limits.max_tokens is not None and len(tokens) > limits.max_tokens:
        tokens, finish_reason = tokens[: limits.max_tokens], "length"
    if limits.stop:
        stopped = _cut_at_stop(tokens, limits.stop)
        if stopped is not None:
            tokens, finish_reason = stopped, "stop"
    return Answer(tokens, finish_reason)


def _whole(directives: Directives, images: int) -> list[str]:
    if directives.text is not None:
        return _cut(directives.text, directives.chunk_chars)
    tokens = default_tokens(directives.tokens)
    if images:
        tokens = [f"[{images} images] ", *tokens]
    return _cut("".join(tokens), directives.chunk_chars) if directives.chunk_chars else tokens


def _cut(text: str, chunk_chars: int) -> list[str]:
    if chunk_chars:
        return [text[start : start + chunk_chars] for start in range(0, len(text), chunk_chars)]
    return _WORDS.findall(text)


def _continue(tokens: list[str], prefix: str, chunk_chars: int) -> list[str]:
    text = "".join(tokens)
    begin = _end_of_prefix(text, prefix)
    if chunk_chars:
        return _cut(text[begin:], chunk_chars)
    rest: list[str] = []
    for token in tokens:
        if begin < len(token):
            rest.append(token[begin:])
        begin = max(0, begin - len(token))
    return rest


def _end_of_prefix(text: str, prefix: str) -> int:
    """Where the answer goes on; a prefix without the reasoning continues the part after it."""
    end = text.find(_REASONING_END)
    if end >= 0 and not text.startswith(prefix):
        visible = text[end + len(_REASONING_END) :]
        skipped = len(visible) - len(visible.lstrip())
        for begin in (0, skipped):
            if visible.startswith(prefix, begin):
                return end + len(_REASONING_END) + begin + len(prefix)
    return len(prefix)


def _cut_at_stop(tokens: list[str], stop: tuple[str, ...]) -> list[str] | None:
    text = "".join(tokens)
    ends = [text.find(word) for word in stop if word in text]
    if not ends:
        return None
    end = min(ends)
    completed = min(end + len(word) for word in stop if text.startswith(word, end))
    kept: list[str] = []
    begin = 0
    for token in tokens:
        kept.append(token[: max(0, end - begin)])
        begin += len(token)
        if begin >= completed:
            break
    return kept
