"""What the load generator asks, and how it sees an answer come in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

OnTokens = Callable[[int], None]
"""Is told how many tokens have just arrived."""

Ask = Callable[[OnTokens], Awaitable[None]]
"""Asks one question and returns when its answer is complete; raises when it is not."""


class IncompleteAnswer(Exception):
    """An answer did not have the tokens that were asked for."""


@dataclass(frozen=True, slots=True)
class Question:
    """An ordinary question, and what the simulator is to answer.

    `tpot_ms` is the time between two tokens, 0 for as fast as it can.
    """

    stream: bool
    tokens: int
    tpot_ms: float = 0.0

    def text(self) -> str:
        """Return the prompt of the user."""
        return f"What is the capital of France? [[sim tokens={self.tokens} tpot_ms={self.tpot_ms:.3f}]]"

    def check(self, tokens: int) -> None:
        """Check the length of an answer.

        Raises:
            IncompleteAnswer: tokens are missing or too many.
        """
        if tokens != self.tokens:
            raise IncompleteAnswer(f"{tokens} tokens arrived of {self.tokens}")


def count_tokens(text: str, first: bool) -> int:
    """Return how many of the simulator's tokens a piece of its answer has: all but the first begin with a space."""
    return text.count(" ") + first
