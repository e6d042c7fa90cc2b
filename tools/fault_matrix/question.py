"""What the matrix asks the simulator, and the one text that is the right answer."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Final

from tandem.v1 import types_pb2

TOKENS: Final = 24
TPOT_MS: Final = 5.0


class Patience(enum.Enum):
    """What the client does while it is answered."""

    WAITS = "waits"
    LEAVES = "leaves"
    """It cancels as soon as there is text, or a little later when the answer comes in one piece."""
    NEVER_READS = "never reads"


@dataclass(frozen=True, slots=True)
class Question:
    """One request; no other has the same right answer, so that answers which are mixed up are seen."""

    prompt: str
    answer: str
    """The whole right answer, whichever model gives it."""
    deadline_seconds: float
    stream: bool
    tier: str = ""
    """The tier asked for; empty: routing decides."""
    strategy: types_pb2.Strategy.ValueType = types_pb2.STRATEGY_UNSPECIFIED
    cached: bool = False
    """Whether the answer may come from the cache."""
    patience: Patience = Patience.WAITS


def directive(model: str = "", /, **settings: object) -> str:
    """Return a directive for one model of the simulator, or for all."""
    words = [f"[[sim:{model}" if model else "[[sim"]
    for key, value in settings.items():
        escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        words.append(f'{key}="{escaped}"')
    return f"{' '.join(words)}]]"


def answer_text(number: int, tokens: int = TOKENS) -> str:
    """Return an answer of so many of the simulator's tokens, with blanks and wide characters, hard at a seam."""
    return "".join(islice(_words(number), tokens))


def _words(number: int) -> Iterator[str]:
    yield f"Answer{number}"
    for place in count(1):
        match place % 8:
            case 2:
                yield "  量子."
            case 5:
                yield "\n\n🙂"
            case 7:
                yield f" {number}-{place}."
            case _:
                yield f" {number}-{place}"


def ask(
    number: int,
    *faults: str,
    deadline_seconds: float,
    tokens: int = TOKENS,
    tpot_ms: float = TPOT_MS,
    tier: str = "",
) -> Question:
    """Return a question that is answered well but for the faults, which are directives; every other one streams."""
    answer = answer_text(number, tokens)
    told = directive(text=answer, tpot_ms=tpot_ms)
    prompt = " ".join([f"Question {number}?", told, *faults])
    return Question(prompt, answer, deadline_seconds, stream=number % 2 == 1, tier=tier)
