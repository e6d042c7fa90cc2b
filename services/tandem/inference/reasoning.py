"""Keeps what a model thinks apart from what it answers.

R1-family models open their output with `<think> … </think>`. The tags may be split anywhere over the pieces of a
stream. Only a tag at the very start of the output counts: one that the answer talks about is text.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from tandem.catalogue import ReasoningTags


class _State(enum.Enum):
    START = enum.auto()
    THINKING = enum.auto()
    GAP = enum.auto()
    TEXT = enum.auto()


class Split(NamedTuple):
    """The two parts of a piece."""

    reasoning: str = ""
    text: str = ""


class ReasoningSplitter:
    """Splits a stream of pieces; make one for each answer.

    Args:
        tags: the model's tags, or None if it has none.
        continued: True if the output continues an answer, so that no thinking can come first.
    """

    def __init__(self, tags: ReasoningTags | None, continued: bool) -> None:
        self._tags = tags
        self._held = ""
        if tags is None or continued:
            self._state = _State.TEXT
        else:
            self._state = _State.THINKING if tags.starts_open else _State.START

    def feed(self, piece: str) -> Split:
        """Return what of the text so far is certain and was not returned before."""
        if self._state is _State.TEXT:
            return Split(text=piece)
        self._held += piece
        return self._advance()

    def end(self) -> Split:
        """Return what was held back because a tag might have followed."""
        held, self._held = self._held, ""
        if self._state is _State.THINKING:
            return Split(reasoning=held)
        return Split(text=held if self._state is _State.START else "")

    def _advance(self) -> Split:
        assert self._tags is not None  # noqa: S101 - without tags the state is TEXT
        reasoning = ""
        if self._state is _State.START:
            self._state = self._after_start(self._tags.open)
        if self._state is _State.THINKING:
            reasoning = self._thought(self._tags.close)
        if self._state is _State.GAP:
            self._held = self._held.lstrip()
            self._state = _State.TEXT if self._held else _State.GAP
        return Split(reasoning, self._release() if self._state is _State.TEXT else "")

    def _after_start(self, tag: str) -> _State:
        """Return the state once it is certain whether the opening tag is there; until then START."""
        begun = self._held.lstrip()
        if begun.startswith(tag):
            self._held = begun[len(tag) :]
            return _State.THINKING
        return _State.START if tag.startswith(begun) else _State.TEXT

    def _thought(self, tag: str) -> str:
        """Return the reasoning that is certain; leave THINKING at the closing tag."""
        before, found, after = self._held.partition(tag)
        if found:
            self._held, self._state = after, _State.GAP
            return before
        keep = _overlap(self._held, tag)
        certain = self._held[: len(self._held) - keep]
        self._held = self._held[len(certain) :]
        return certain

    def _release(self) -> str:
        held, self._held = self._held, ""
        return held


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of `text` may be the beginning of `tag`."""
    for size in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-size:]):
            return size
    return 0
