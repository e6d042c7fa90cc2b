"""Weighs known terms: words and phrases that a person put under headings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features.lookup import Lookup, Rows, sequences
from tandem.classifier.features.scan import Hashes, Scan, Tables
from tandem.classifier.features.spec import LONGEST_WORDS

TERM_CHARACTERS: Final = 200
"""Longest term."""


@dataclass(frozen=True)
class Terms:
    """Sorted hashes of terms, the weight of each under each heading, [terms, headings], and the headings' names."""

    keys: Hashes
    weights: NDArray[np.float32]
    names: tuple[str, ...]

    @classmethod
    def of(cls, headings: Mapping[str, Mapping[str, float]], fold_digits: bool = False) -> Terms:
        """Make the table from terms with weights under headings; a term may stand under several.

        Raises:
            ValueError: if a term is not one to four words or ideographs.
        """
        tables = Tables.for_texts(TERM_CHARACTERS + 2, fold_digits)
        found: dict[int, NDArray[np.float32]] = {}
        for heading, terms in enumerate(headings.values()):
            for term, weight in terms.items():
                row = found.setdefault(term_hash(term, tables), np.zeros(len(headings), np.float32))
                row[heading] = max(row[heading], weight)
        keys = sorted(found)
        weights = np.array([found[key] for key in keys], np.float32).reshape(len(keys), len(headings))
        return cls(np.array(keys, np.uint64), weights, tuple(headings))

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.keys)

    def found(self, scan: Scan) -> Rows:
        """Return the rows of the terms of a text, each once, in order."""
        hits = self._lookup.rows(sequences(scan, LONGEST_WORDS))
        return np.flatnonzero(np.bincount(hits)) if len(hits) else hits

    def weigh(self, rows: Rows) -> NDArray[np.float32]:
        """Return ln(1 + sum of the weights) of terms found, for every heading; shape [headings]."""
        sums: NDArray[np.float32] = np.log1p(self.weights[rows].sum(axis=0))
        return sums


def term_hash(term: str, tables: Tables) -> int:
    """Return the hash that the words of a term have where they follow each other in a text."""
    count = len(Scan(term[:TERM_CHARACTERS], tables).hashes)
    if len(term) > TERM_CHARACTERS or not 1 <= count <= LONGEST_WORDS:
        raise ValueError(f"The term {term!r} has {count} words, which is not one to {LONGEST_WORDS}.")
    return int(Scan(term, tables).words(count)[0])
