"""Extracts the features of a text, or of many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.encoder import Encoder
from tandem.classifier.features.reading import Reader
from tandem.classifier.features.spec import FeatureSpec, Indices, Rows, Values
from tandem.classifier.features.surface import SURFACE_NAMES
from tandem.classifier.features.terms import Terms
from tandem.classifier.sample import ends

VECTOR_NAME: Final = "vector"


class Features(NamedTuple):
    """A text in numbers: buckets found with their values, both [found], and dense numbers, [dense].

    `terms` are the rows of the known terms that it has.
    """

    indices: Indices
    values: Values
    dense: NDArray[np.float32]
    terms: Rows


@dataclass(frozen=True, slots=True)
class Batch:
    """Many texts in numbers: compressed sparse rows, and dense numbers of shape [texts, dense]."""

    indptr: NDArray[np.int64]
    indices: Indices
    values: Values
    dense: NDArray[np.float32]


class Extractor:
    """Extracts what a spec says, known terms, and the vector of an encoder; dense numbers as in `dense_names`."""

    def __init__(self, spec: FeatureSpec, terms: Terms | None = None, encoder: Encoder | None = None) -> None:
        self.spec = spec
        self._terms = terms
        self._encoder = encoder
        self._reader = Reader(spec, terms.keys, terms.weights) if terms else Reader(spec)

    @property
    def dense_names(self) -> tuple[str, ...]:
        """What each dense number is."""
        terms = tuple(f"terms of {name}" for name in self._terms.names) if self._terms else ()
        vector = range(self._encoder.spec.dimensions) if self._encoder else ()
        return (*SURFACE_NAMES, *terms, *(f"{VECTOR_NAME} {number}" for number in vector))

    def features(self, text: str, characters: int | None = None, *, encode: bool = True) -> Features:
        """Return the features of a text, in time bounded whatever its length.

        `characters` is how long it is, when the text given is already a sample of a longer one. Without `encode` the
        vector of the encoder is 0: for a text of which only the n-grams are looked at.
        """
        sample = ends(text, self.spec.sample_characters)
        indices, values, dense, terms = self._reader.read(
            sample, len(text) if characters is None else characters
        )
        if self._encoder:
            vector = (
                self._encoder.encode(text) if encode else np.zeros(self._encoder.spec.dimensions, np.float32)
            )
            dense = np.concatenate((dense, vector), dtype=np.float32)
        return Features(indices, values, dense, terms)

    def batch(self, texts: Iterable[str]) -> Batch:
        """Return the features of texts, row by row what `features` returns."""
        rows = [self.features(text) for text in texts]
        sizes = [len(row.indices) for row in rows]
        return Batch(
            np.cumsum([0, *sizes], dtype=np.int64),
            np.concatenate([np.empty(0, np.uint32), *(row.indices for row in rows)]),
            np.concatenate([np.empty(0, np.float32), *(row.values for row in rows)]),
            np.array([row.dense for row in rows], np.float32).reshape(len(rows), len(self.dense_names)),
        )
