"""What is extracted from a text: chosen in training, kept in the artifact, the same at run time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["words", "ideographs", "characters"]
Hashes = NDArray[np.uint64]
Indices = NDArray[np.uint32]
"""Buckets, each once and in order."""
Values = NDArray[np.float32]
Rows = NDArray[np.uint32]
"""Rows of the table of known terms, each once and in order."""

LONGEST_WORDS: Final = 4
LONGEST_CHARACTERS: Final = 6


@dataclass(frozen=True, slots=True)
class Group:
    """The n-grams of one kind and size, hashed into 2^bits buckets of their own.

    `words`: neighbouring words, an ideograph being a word of its own. `ideographs`: neighbouring words that all are
    ideographs. `characters`: neighbouring characters, none of them an ideograph; a run of blanks is one space.
    """

    kind: Kind
    size: int
    bits: int
    weight: float = 1.0
    """Length of the vector of this group, which is first brought to length 1."""


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """Which n-grams are counted, and how."""

    groups: tuple[Group, ...]
    counts: Literal["binary", "log"] = "log"
    """What an n-gram found c times weighs in its group: 1, or 1 + ln c."""
    fold_digits: bool = False
    """Whether every digit counts as 0, so that numbers differ by their form only."""
    sample_characters: int = 6000
    """Longest text that is read whole; of a longer one the beginning and the end, half each."""

    def __post_init__(self) -> None:
        for group in self.groups:
            longest = LONGEST_CHARACTERS if group.kind == "characters" else LONGEST_WORDS
            if not (1 <= group.size <= longest and 1 <= group.bits <= 24):
                raise ValueError(f"{group} is outside of sizes 1 to {longest} and bits 1 to 24.")

    @property
    def buckets(self) -> int:
        """Rows that a table of weights has: the sum over the groups."""
        return sum(1 << group.bits for group in self.groups)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First bucket of each group, and one past the last bucket of all."""
        return (0, *accumulate(1 << group.bits for group in self.groups))
