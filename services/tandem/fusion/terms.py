"""What is known of an answer that several models gave: the terms that a learned vote sums up.

Each term has a name that a person can read and a value; an artifact has the weights. Training and serving both take
them from here, so they cannot differ. `of_group` is the whole list.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

LEADING: Final = 6
"""Of so many of the most reliable voices every two have a term for agreeing."""


class Block(enum.Enum):
    """Terms of one kind: they are shrunk alike when weights are learned."""

    ANY = enum.auto()
    RELIABILITY = enum.auto()
    VOICE = enum.auto()
    SUPPORT = enum.auto()
    PAIR = enum.auto()
    VOICE_IN_CONTEXT = enum.auto()
    SUPPORT_IN_CONTEXT = enum.auto()
    ANSWER = enum.auto()
    VOICE_SAYS = enum.auto()
    ANSWER_IN_CONTEXT = enum.auto()


class Term(NamedTuple):
    """A term of one answer."""

    block: Block
    name: str
    value: float
    voice: str = ""
    """Whose alone it is; empty: that of nobody in particular."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The voices that are asked together, and what is known of them before they answer."""

    log_odds: Mapping[str, float]
    """ln(p / (1 - p)) of each voice's reliability, the most reliable voice first."""
    answers: frozenset[str]
    """Answers that come often enough to have terms of their own, such as `C`; of choices only."""

    @property
    def leading(self) -> tuple[str, ...]:
        """The voices whose agreement with each other has terms."""
        return tuple(self.log_odds)[:LEADING]


def of_group(
    panel: Panel, members: Mapping[str, float], answer: str, contexts: Sequence[str]
) -> Iterator[Term]:
    """Give the terms of one answer.

    Args:
        panel: the voices that were asked.
        members: the voices that gave the answer, each with the part of its candidates that did: 1 for one candidate.
        answer: its comparable form.
        contexts: what is known of the question, such as `domain legal`.
    """
    count = math.fsum(members.values())
    yield Term(Block.ANY, "any answer", 1.0)
    yield from _reliability(panel, members)
    yield from _support(count, len(panel.log_odds), contexts)
    yield from _pairs(panel, members)
    named = answer in panel.answers
    if named:
        yield Term(Block.ANSWER, f"says {answer}", 1.0)
        for context in contexts:
            yield Term(Block.ANSWER_IN_CONTEXT, f"says {answer} in {context}", 1.0)
    for voice, part in members.items():
        yield Term(Block.VOICE, voice, part, voice)
        for context in contexts:
            yield Term(Block.VOICE_IN_CONTEXT, f"{voice} in {context}", part, voice)
        if named:
            yield Term(Block.VOICE_SAYS, f"{voice} says {answer}", part, voice)


def _reliability(panel: Panel, members: Mapping[str, float]) -> Iterator[Term]:
    known = panel.log_odds
    total = math.fsum(known[voice] * part for voice, part in members.items())
    yield Term(Block.RELIABILITY, "reliability of its voices", total)
    most = max((known[voice] for voice in members), default=0.0)
    yield Term(Block.RELIABILITY, "its most reliable voice", most)


def _support(count: float, voices: int, contexts: Sequence[str]) -> Iterator[Term]:
    log, share = math.log(max(count, 1.0)), count / voices
    if 1 <= round(count) <= 3:
        yield Term(Block.SUPPORT, ("one voice", "two voices", "three voices")[round(count) - 1], 1.0)
    yield Term(Block.SUPPORT, "voices (log)", log)
    yield Term(Block.SUPPORT, "share of the voices", share)
    yield Term(Block.SUPPORT, "share of the voices, squared", share * share)
    for context in contexts:
        yield Term(Block.SUPPORT_IN_CONTEXT, f"voices (log) in {context}", log)
        yield Term(Block.SUPPORT_IN_CONTEXT, f"share of the voices in {context}", share)


def _pairs(panel: Panel, members: Mapping[str, float]) -> Iterator[Term]:
    there = [voice for voice in panel.leading if voice in members]
    for at, voice in enumerate(there):
        for other in there[at + 1 :]:
            yield Term(Block.PAIR, f"{voice} agrees with {other}", members[voice] * members[other])
