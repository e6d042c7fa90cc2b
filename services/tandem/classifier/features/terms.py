"""Known terms: words and phrases that a person put under headings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features.reading import Reader
from tandem.classifier.features.spec import LONGEST_WORDS, FeatureSpec, Hashes

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
        reader = Reader(FeatureSpec((), fold_digits=fold_digits, sample_characters=TERM_CHARACTERS))
        found: dict[int, NDArray[np.float32]] = {}
        for heading, terms in enumerate(headings.values()):
            for term, weight in terms.items():
                row = found.setdefault(_hash(term, reader), np.zeros(len(headings), np.float32))
                row[heading] = max(row[heading], weight)
        keys = sorted(found)
        weights = np.array([found[key] for key in keys], np.float32).reshape(len(keys), len(headings))
        return cls(np.array(keys, np.uint64), weights, tuple(headings))


def _hash(term: str, reader: Reader) -> int:
    """Return the hash that the words of a term have where they follow each other in a text."""
    count, hashed = reader.sequence(term[:TERM_CHARACTERS])
    if len(term) > TERM_CHARACTERS or not 1 <= count <= LONGEST_WORDS:
        raise ValueError(f"The term {term!r} has {count} words, which is not one to {LONGEST_WORDS}.")
    return hashed
