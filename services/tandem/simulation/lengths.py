"""How many tokens prompts and answers have, given by a few quantiles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

GRID: Final = 10_000
"""Equal parts by which the mean is found."""
LONGEST: Final = 10_000_000
"""Tokens; nothing is longer."""


class BadLengths(ValueError):
    """A text gives no lengths; the message says what is wrong."""


class Lengths:
    """Lengths whose logarithm is a straight line from each given quantile to the next, and beyond the outer ones.

    Args:
        quantiles: tokens by share, such as 0.5: 200; a single one is the length of all.
    """

    def __init__(self, quantiles: Mapping[float, float]) -> None:
        self._shares = np.array(sorted(quantiles))
        self._logs = np.log([quantiles[share] for share in sorted(quantiles)])

    @property
    def mean(self) -> float:
        """The mean length."""
        return float(self._at((np.arange(GRID) + 0.5) / GRID).mean())

    def draw(self, many: int, random: np.random.Generator) -> np.ndarray:
        """Return so many lengths, whole and at least 1."""
        return self._at(random.random(many)).astype(int)

    def _at(self, shares: np.ndarray) -> np.ndarray:
        logs = np.interp(shares, self._shares, self._logs)
        if len(self._shares) > 1:
            slopes = np.diff(self._logs) / np.diff(self._shares)
            logs += slopes[0] * np.minimum(0.0, shares - self._shares[0])
            logs += slopes[-1] * np.maximum(0.0, shares - self._shares[-1])
        lengths: np.ndarray = np.rint(np.exp(np.clip(logs, 0.0, math.log(LONGEST))))
        return lengths


def parse_lengths(text: str) -> Lengths:
    """Read `200`, or quantiles such as `p50=200,p90=450,p99=900`; raise `BadLengths` if it is neither."""
    parts = dict(_part(part) for part in text.split(","))
    ordered = [parts[share] for share in sorted(parts)]
    if ordered != sorted(ordered) or len(parts) < len(text.split(",")):
        raise BadLengths("must name each share once, and longer lengths for higher shares")
    return Lengths(parts)


def _part(text: str) -> tuple[float, float]:
    name, equals, tokens = text.strip().rpartition("=")
    try:
        share = float(name.removeprefix("p")) / 100.0 if equals else 0.5
        length = float(tokens)
    except ValueError:
        raise BadLengths(f"must be tokens or pSHARE=TOKENS, such as p90=450; is {text.strip()!r}") from None
    if not (0.0 < share < 1.0 and 1.0 <= length <= LONGEST):
        raise BadLengths(f"must have a share between 0 and 100 and 1 or more tokens; is {text.strip()!r}")
    return share, length
