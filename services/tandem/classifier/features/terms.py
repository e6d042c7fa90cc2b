"""Weighs known terms: words and phrases that a person put under a heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features.lookup import Rows, rows_of, sequences
from tandem.classifier.features.scan import Hashes, Scan, Tables
from tandem.classifier.features.spec import LONGEST_WORDS

TERM_CHARACTERS = 200
"""Longest term."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Sorted hashes of terms with the heading and the weight of each, and the names of the headings."""

    keys: Hashes
    headings: NDArray[np.uint8]
    weights: NDArray[np.float32]
    names: tuple[str, ...]

    @classmethod
    def of(cls, headings: Mapping[str, Mapping[str, float]], fold_digits: bool = False) -> Terms:
        """Make the table from terms with weights under headings; a term is one to four words or ideographs.

        Raises:
            ValueError: if a term is empty or longer, or stands twice.
        """
        tables = Tables.for_texts(TERM_CHARACTERS + 2, fold_digits)
        found: dict[int, tuple[int, float]] = {}
        for number, terms in enumerate(headings.values()):
            for term, weight in terms.items():
                key = term_hash(term, tables)
                if key in found:
                    raise ValueError(f"The term {term!r} stands under two headings.")
                found[key] = (number, weight)
        keys = sorted(found)
        return cls(
            np.array(keys, np.uint64),
            np.array([found[key][0] for key in keys], np.uint8),
            np.array([found[key][1] for key in keys], np.float32),
            tuple(headings),
        )

    def weigh(self, scan: Scan) -> tuple[Rows, NDArray[np.float64]]:
        """Return the rows of the terms found, each once, and ln(1 + weight) per heading; shape [headings]."""
        rows = np.flatnonzero(np.bincount(rows_of(self.keys, sequences(scan, LONGEST_WORDS))))
        sums = np.bincount(self.headings[rows], self.weights[rows], len(self.names))
        return rows, np.log1p(sums)


def term_hash(term: str, tables: Tables) -> int:
    """Return the hash that the words of a term have where they follow each other in a text."""
    count = len(Scan(term[:TERM_CHARACTERS], tables).hashes)
    if len(term) > TERM_CHARACTERS or not 1 <= count <= LONGEST_WORDS:
        raise ValueError(f"The term {term!r} has {count} words, which is not one to {LONGEST_WORDS}.")
    return int(Scan(term, tables).words(count)[0])


def term_hashes(terms: Sequence[str], fold_digits: bool = False) -> Hashes:
    """Return the hash of each term, in their order: keys for a table of word vectors."""
    tables = Tables.for_texts(TERM_CHARACTERS + 2, fold_digits)
    return np.array([term_hash(term, tables) for term in terms], np.uint64)
