"""Corrects what an artifact says of a tier by few labels of one's own.

The prediction of the artifact stands unless labels speak against it: what they say is a Gaussian process around it
(Rasmussen and Williams, 2006, chapter 2), whose kernel joins what the columns of the artifact say, n-grams, and waves.
How far each may move a prediction is fixed: chosen on the labels, 200 of them, it came out worse (docs/own_traffic.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import sparse

from tandem.training.classifier.own_rows import SMALL, Laid, Line, Numbers, Places

LEVEL: Final = 5.0
"""Variance of what is added everywhere, in units of the noise of a label: nearly free."""
COLUMNS: Final = 0.03
"""Variance along each standardised column of the artifact, likewise."""
GRAMS: Final = 1.0
"""Variance of all n-grams of a text together, likewise."""
WAVES: Final = 0.3
"""Variance of all waves of a text together, likewise."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What is added to a tier's prior: linear in the columns of the artifact, n-grams and waves."""

    line: Line
    """The prior with all that is added along columns; shape [columns]."""
    grams: Numbers
    """Shape [buckets]."""
    waves: Numbers
    """Shape [waves]."""
    said: Numbers
    """What is read of each row learned from, its whole group left out; shape [rows]."""

    def read(self, laid: Laid) -> Numbers:
        """Return the corrected chance that the tier is right, not yet cut to 0 to 1; shape [rows]."""
        found: Numbers = self.line.read(laid.columns) + laid.grams @ self.grams + laid.waves @ self.waves
        return found


def unchanged(prior: Line, laid: Laid) -> Correction:
    """Return the correction that adds nothing: no label is known."""
    grams, waves = np.zeros(laid.grams.shape[1]), np.zeros(laid.waves.shape[1])
    return Correction(prior, grams, waves, np.zeros(0))


def correct(prior: Line, laid: Laid, right: Numbers, groups: Places) -> Correction:
    """Correct a prior by labels from 0 to 1; rows of one group are near-duplicates of each other."""
    middle, spread = laid.columns.mean(axis=0), laid.columns.std(axis=0)
    spread = np.where(spread > SMALL, spread, np.inf)  # what is the same everywhere says nothing
    standard = (laid.columns - middle) / spread
    missing = right - prior.read(laid.columns)
    amplitude = WAVES * 2 / max(1, laid.waves.shape[1])
    kernel = (
        COLUMNS * (standard @ standard.T) + GRAMS * _products(laid) + amplitude * (laid.waves @ laid.waves.T)
    )
    kernel += LEVEL + np.eye(len(right))
    dual = np.linalg.solve(kernel, missing)
    along = COLUMNS * (dual @ standard) / spread
    added = Line(along, LEVEL * float(dual.sum()) - float(along @ middle))
    return Correction(
        prior + added,
        GRAMS * (laid.grams.T @ dual),
        amplitude * (dual @ laid.waves),
        right - left_out(kernel, missing, groups),
    )


def left_out(kernel: Numbers, missing: Numbers, groups: Places) -> Numbers:
    """Return by how much each row is missed, its whole group left out of what is learned; shape [rows].

    With A the kernel and the noise, a group is missed by the inverse of its block of the inverse of A, times its part
    of A⁻¹y: no fold is fitted anew.
    """
    inverse = np.linalg.inv(kernel)
    dual = inverse @ missing
    missed = dual / np.diag(inverse)
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    for number in np.flatnonzero(sizes > 1):
        rows = np.flatnonzero(numbers == number)
        missed[rows] = np.linalg.solve(inverse[np.ix_(rows, rows)], dual[rows])
    return missed


def _products(laid: Laid) -> Numbers:
    found: Numbers = sparse.csr_array(laid.grams @ laid.grams.T).toarray()
    return found
