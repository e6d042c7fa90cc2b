"""How fast a model is now: time to first token by prompt length, and time per token.

Seeded from the catalogue, updated by every attempt that gives a token.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from tandem.catalogue import Latency
from tandem.orchestrator.quantiles import Quantiles

PROMPT_TOKENS: Final = (256, 1024, 4096, 16_384)
"""Prompts up to each of these lengths, and all longer ones, are told apart."""
LEAST_TOKENS: Final = 8
"""An answer of fewer tokens tells nothing about the time per token: they arrive in one or two messages."""


class LatencyModel:
    """The speed of one variant.

    Args:
        prior: what the catalogue expects.
    """

    def __init__(self, prior: Latency) -> None:
        lengths = (*PROMPT_TOKENS, 2 * PROMPT_TOKENS[-1])
        self._ttft = [
            Quantiles(prior.ttft_ms + prior.ttft_ms_per_1000_tokens * tokens / 1000) for tokens in lengths
        ]
        self._tpot = Quantiles(prior.tpot_ms)
        self.waking_ms = 0.0
        """What comes on top of the time to first token: the model has to be loaded first."""

    @property
    def observations(self) -> int:
        """Attempts that gave a first token."""
        return sum(quantiles.observations for quantiles in self._ttft)

    def ttft_ms(self, share: float, prompt_tokens: int) -> float:
        """Return the time to first token, in milliseconds, that a share of the attempts keeps below.

        A longer prompt is never expected to be quicker than a shorter one, so what is known of shorter ones counts
        where longer ones are new.
        """
        last = bisect_left(PROMPT_TOKENS, prompt_tokens)
        slowest = self._ttft[0].quantile(share)
        for quantiles in self._ttft[1 : last + 1]:
            slowest = max(slowest, quantiles.quantile(share))
        return slowest + self.waking_ms

    def tpot_ms(self, share: float) -> float:
        """Return the time per token after the first, in milliseconds, that a share of the attempts keeps below."""
        return self._tpot.quantile(share)

    def short_ms(self, share: float, prompt_tokens: int, tokens: int) -> float:
        """Return the time in which an answer of so many tokens is complete."""
        return self.ttft_ms(share, prompt_tokens) + tokens * self.tpot_ms(share)

    def saw_first_token(self, prompt_tokens: int, waited_ms: float) -> None:
        """Learn how long the first token took."""
        self._ttft[bisect_left(PROMPT_TOKENS, prompt_tokens)].observe(waited_ms)

    def saw_tokens(self, tokens: int, took_ms: float) -> None:
        """Learn how long the tokens after the first took."""
        if tokens >= LEAST_TOKENS:
            self._tpot.observe(took_ms / tokens)
