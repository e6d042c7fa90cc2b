"""Lays texts out as rows that linear heads learn from: n-grams, and waves over the form of a text.

Ridge over the waves is ridge over a radial kernel of the form, nearly (Rahimi and Recht, "Random features for
large-scale kernel machines", 2007); directions are orthogonal in blocks, which halves the error (Yu et al., "Orthogonal
random features", 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tandem.classifier.encoder import Encoder
from tandem.classifier.features import SURFACE_NAMES, Batch, Extractor, FeatureSpec, Group, Terms
from tandem.training.classifier.terms import terms

Floats = NDArray[np.float32]

WAVES: Final = 512
WIDTH: Final = 0.7
"""Width of the kernel, as mean squared distance of two standardised numbers."""
AMPLITUDE: Final = (2 / WAVES) ** 0.5
"""Height of a wave of form 1: all waves of a text together have length 1, as all its n-grams have."""
FORM: Final = 1.0
"""Length of all waves of a text together."""
LIMIT: Final = 3.0
"""Largest standardised dense number that counts."""
SEED: Final = 3
TERM_SCALE: Final = 0.1
"""What a standardised count of known terms weighs: the lexicon is of tasks and domains, and says little of quality."""
VECTOR_SCALE: Final = 0.05
"""What a standardised number of an encoder weighs: its 384 together have length 1, as all n-grams of a text have."""
_SHARE: Final = 7**-0.5
SPEC: Final = FeatureSpec(
    (
        Group("words", 1, 16, _SHARE),
        Group("words", 2, 16, _SHARE),
        Group("ideographs", 2, 16, _SHARE),
        Group("ideographs", 3, 16, _SHARE),
        Group("characters", 3, 16, _SHARE),
        Group("characters", 4, 16, _SHARE),
        Group("characters", 5, 16, _SHARE),
    ),
    fold_digits=True,
)


@dataclass(frozen=True, slots=True)
class Design:
    """How dense numbers become waves: fixed once, for all heads."""

    mean: Floats
    scale: Floats
    frequencies: Floats
    phases: Floats
    amplitude: float
    """Height of a wave."""

    @classmethod
    def of(cls, dense: Floats, width: float = WIDTH, form: float = FORM) -> Design:
        """Make the design from the dense numbers of the texts learned from; shape [texts, dense]."""
        frequencies, phases = _directions(dense.shape[1], len(SURFACE_NAMES), width)
        return cls(
            dense.mean(axis=0, dtype=np.float64).astype(np.float32),
            (dense.std(axis=0, dtype=np.float64) + 1e-3).astype(np.float32),
            frequencies,
            phases,
            form * AMPLITUDE,
        )

    def rows(self, batch: Batch) -> sparse.csr_array:
        """Return the rows of texts: buckets, waves, known terms, vector; shape [texts, all of those]."""
        count = len(batch.indptr) - 1
        grams = sparse.csr_array(
            (batch.values, batch.indices.astype(np.int32), batch.indptr.astype(np.int32)),
            shape=(count, SPEC.buckets),
        )
        dense = sparse.csr_array(np.concatenate(self.numbers(batch), axis=1))
        rows: sparse.csr_array = sparse.hstack((grams, dense), format="csr", dtype=np.float32)
        return rows

    def numbers(self, batch: Batch) -> tuple[Floats, Floats]:
        """Return the waves of texts, and their known terms with the vector; shapes [texts, waves], [texts, rest]."""
        standard = np.clip((batch.dense - self.mean) / self.scale, -LIMIT, LIMIT)
        waves = np.cos(standard @ self.frequencies + self.phases) * np.float32(self.amplitude)
        return waves, standard[:, len(SURFACE_NAMES) :] * straight_scales(standard.shape[1])


@cache
def known_terms() -> Terms:
    """Return the terms that every head knows."""
    return Terms.of(terms(), SPEC.fold_digits)


def straight_scales(dense: int) -> Floats:
    """Return what a standardised dense number after the surface counts weighs; shape [dense - surface counts]."""
    scales = np.full(dense - len(SURFACE_NAMES), VECTOR_SCALE, np.float32)
    scales[: len(known_terms().names)] = TERM_SCALE
    return scales


def extractor(encoder: Encoder | None = None) -> Extractor:
    """Return what extracts the features that every head reads."""
    return Extractor(SPEC, known_terms(), encoder)


def batch(texts: Sequence[str], encoder: Encoder | None = None) -> Batch:
    """Return the features of texts."""
    return extractor(encoder).batch(texts)


def take(found: Batch, rows: NDArray[np.intp]) -> Batch:
    """Return the rows of a batch."""
    matrix = sparse.csr_array(
        (found.values, found.indices.astype(np.int64), found.indptr),
        shape=(len(found.indptr) - 1, SPEC.buckets),
    )[rows]
    return Batch(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.uint32),
        matrix.data,
        found.dense[rows],
    )


def _directions(dense: int, surface: int, width: float) -> tuple[Floats, Floats]:
    """Return frequencies [dense, waves] and phases [waves]: a cosine and a sine each; known terms make no waves."""
    draw = np.random.default_rng(SEED)
    blocks: list[NDArray[np.float64]] = []
    while sum(block.shape[1] for block in blocks) < WAVES // 2:
        turned, _ = np.linalg.qr(draw.normal(size=(surface, surface)))
        blocks.append(turned * np.linalg.norm(draw.normal(size=(surface, surface)), axis=0))
    half = np.concatenate(blocks, axis=1)[:, : WAVES // 2] * (2 / (width * surface)) ** 0.5
    frequencies = np.zeros((dense, WAVES), np.float32)
    frequencies[:surface] = np.concatenate((half, half), axis=1)
    return frequencies, np.repeat(np.array([0, -np.pi / 2], np.float32), WAVES // 2)
