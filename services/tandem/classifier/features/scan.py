"""Finds the words of a text and gives every stretch of it a hash.

A stretch is hashed as a polynomial over 2^64 (Karp and Rabin, "Efficient randomized pattern-matching algorithms",
1987): the difference of two prefix sums, moved back to the origin by the inverse power of the base. The base is odd,
so that the inverse exists. The sums carry an odd factor that spreads short stretches over the upper bits, which are the
ones that become bucket numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features.alphabet import (
    CLASS_OF,
    CODE_OF,
    LAST_INNER,
    Class,
    Classes,
    Codes,
    code_points,
)

Hashes = NDArray[np.uint64]
Positions = NDArray[np.intp]

BASE: Final = 0xD1B54A32D192ED03
SPREAD: Final = 0x9E3779B97F4A7C15
FOLLOW: Final = 0xDA942042E4DD58B5
"""Factor of the words before the last one in the hash of a sequence of words."""
_FOLLOW: Final = np.uint64(FOLLOW)
# Comparing an array with a member of an enum takes three times as long as with a plain number.
_IDEOGRAPH: Final = int(Class.IDEOGRAPH)
_INNER: Final = int(LAST_INNER)
_BLANK: Final = Class.SPACE >> 1
"""Half of the class of a space, and of that of a line end."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What depends on the longest text only: powers of the base, and codes by code point."""

    powers: Hashes
    inverses: Hashes
    codes: Codes

    @classmethod
    def for_texts(cls, characters: int, fold_digits: bool) -> Tables:
        """Make the tables for texts of at most so many characters."""
        inverse = pow(BASE, -1, 1 << 64)
        codes = CODE_OF.copy()
        if fold_digits:
            codes[ord("0") : ord("9") + 1] = ord("0")
            codes[ord("０") : ord("９") + 1] = ord("0")
        return cls(_powers(BASE, SPREAD, characters), _powers(inverse, 1, characters + 1), codes)


def _powers(base: int, first: int, count: int) -> Hashes:
    factors = np.full(count, base, np.uint64)
    factors[0] = first
    return np.multiply.accumulate(factors)


class Scan:
    """The words and hashes of one text.

    `classes` are those of all characters, blanks included. `starts` and `ends` are positions of the words after runs
    of blanks were made one space, `hashes` their hashes, in reading order.
    """

    def __init__(self, text: str, tables: Tables) -> None:
        points = code_points(f" {text} ")
        self.classes: Classes = CLASS_OF.take(points, mode="clip")
        codes, classes = tables.codes.take(points, mode="clip"), self.classes
        blank = (classes >> 1) == _BLANK
        blank[1:] &= blank[:-1]
        blank[0] = False
        if blank.any():
            kept = np.flatnonzero(~blank)
            codes, classes = codes[kept], classes[kept]
        self._tables = tables
        self.codes = codes
        self.kept_classes = classes
        self.has_ideographs = bool((classes == _IDEOGRAPH).any())
        self.prefix = np.empty(len(codes) + 1, np.uint64)
        self.prefix[0] = 0
        np.add.accumulate(codes * tables.powers[: len(codes)], out=self.prefix[1:])
        self.starts, self.ends = self._words()
        spans = self.prefix[self.ends] - self.prefix[self.starts]
        self.hashes: Hashes = spans * tables.inverses[self.starts]
        self._sequences: list[Hashes] = [self.hashes]

    def _words(self) -> tuple[Positions, Positions]:
        inner = self.kept_classes <= _INNER
        changes = np.flatnonzero(inner[1:] != inner[:-1]) + 1
        starts, ends = changes[::2], changes[1::2]
        if not self.has_ideographs:
            return starts, ends
        ideographs = np.flatnonzero(self.kept_classes == _IDEOGRAPH)
        starts = np.concatenate((starts, ideographs))
        order = np.argsort(starts, kind="stable")
        return starts[order], np.concatenate((ends, ideographs + 1))[order]

    def words(self, size: int) -> Hashes:
        """Return the hash of every sequence of so many words; shape [words - size + 1]."""
        while len(self._sequences) < size:
            last = self._sequences[-1]
            self._sequences.append(last[:-1] * _FOLLOW + self.hashes[len(self._sequences) :])
        return self._sequences[size - 1]

    def ideographs(self, size: int) -> Hashes:
        """Return the hash of every sequence of so many words that all are ideographs."""
        if not self.has_ideographs or len(self.hashes) < size:
            return self.hashes[:0]
        run = self._ideographs_before
        kept: Hashes = self.words(size)[run[size:] - run[:-size] == size]
        return kept

    def characters(self, size: int) -> Hashes:
        """Return the hash of every window of so many characters without an ideograph."""
        count = len(self.codes) - size + 1
        if count < 1:
            return self.hashes[:0]
        if not self.has_ideographs:
            return (self.prefix[size:] - self.prefix[:count]) * self._tables.inverses[:count]
        before = self._ideograph_characters_before
        at = np.flatnonzero(before[size:] == before[:count])
        return (self.prefix[at + size] - self.prefix[at]) * self._tables.inverses[at]

    @cached_property
    def _ideographs_before(self) -> NDArray[np.int32]:
        return _counted(self.kept_classes[self.starts] == _IDEOGRAPH)

    @cached_property
    def _ideograph_characters_before(self) -> NDArray[np.int32]:
        return _counted(self.kept_classes == _IDEOGRAPH)


def _counted(marks: NDArray[np.bool_]) -> NDArray[np.int32]:
    counts = np.zeros(len(marks) + 1, np.int32)
    np.add.accumulate(marks, out=counts[1:])
    return counts
