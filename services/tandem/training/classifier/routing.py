"""The heads that routing reads: how likely the weak model is right, and the strong one.

Both are ridge regressions on recorded outcomes. The score is the difference of the two. On traffic that has no labels
of its own, the strong model's head counts half: it fails seldom, and for reasons that a text hardly shows, so what is
learned about it elsewhere carries over worse than what is learned about the weak one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import Ridge

from tandem.training.classifier.data import LEAST_MODELS, Pair, Qualities, Rows, Table

PENALTY: Final = 4.0
OWN_TRUST: Final = 1.0
"""What the strong model's head weighs against the weak one's, on traffic like that which the labels are of."""
FOREIGN_TRUST: Final = 0.5
"""The same on other traffic."""
DENOISED: Final = 0.5
"""Part of a label that is replaced by what other models' answers to the same question say."""
OTHERS_PENALTY: Final = 20.0
_ITERATIONS: Final = 200
_TOLERANCE: Final = 1e-3

Targets = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Linear:
    """Linear heads: weights of shape [features, heads], and what is added; shape [heads]."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def predict(self, rows: sparse.csr_array) -> Targets:
        """Return what the heads say of rows; shape [rows, heads]."""
        said: Targets = rows @ self.weights + self.bias
        return said


def fit(rows: sparse.csr_array, targets: Targets, penalty: float = PENALTY) -> Linear:
    """Fit one head for each column of targets, of shape [rows, heads]."""
    model = Ridge(alpha=penalty, solver="sparse_cg", tol=_TOLERANCE, max_iter=_ITERATIONS)
    model.fit(rows, targets)
    weights = np.atleast_2d(model.coef_).T.astype(np.float32)
    return Linear(weights, np.atleast_1d(model.intercept_).astype(np.float32))


def fit_twice(
    rows: sparse.csr_array, otherwise: sparse.csr_array, targets: Targets, penalty: float = PENALTY
) -> Linear:
    """Fit heads on questions as they were asked and as they might have been, with the same targets."""
    both = sparse.vstack((rows, otherwise), format="csr")
    return fit(both, np.concatenate((targets, targets)), 2 * penalty)


def score(qualities: Targets, trust: float) -> NDArray[np.float32]:
    """Return how much better the strong model would be, up to a constant, from what the heads say; shape [rows]."""
    found: NDArray[np.float32] = np.float32(trust) * qualities[:, 1] - qualities[:, 0]
    return found


def labels(table: Table, pair: Pair, rows: Rows, denoised: float = DENOISED) -> Targets:
    """Return the outcomes of both models, noise taken out where many others answered; shape [rows, 2].

    Whether one model is right on one question is a coin toss that its chance decides. The others' answers tell the
    chance better than the toss does, as in item response theory: a part of the label, half unless told otherwise, is
    what they predict, leaving the question itself out. Only for questions that are learned from.
    """
    outcomes = np.stack([table.outcomes[pair.weak][rows], table.outcomes[pair.strong][rows]], axis=1)
    others = [
        model
        for model in sorted(set(table.outcomes) - {pair.weak, pair.strong})
        if not np.isnan(table.outcomes[model][rows]).all()
    ]
    if len(others) < LEAST_MODELS or len(rows) < 10 * len(others):
        return outcomes
    predicted = _left_out([table.outcomes[other][rows] for other in others], outcomes)
    mixed: Targets = ((1 - denoised) * outcomes + denoised * predicted).astype(np.float32)
    return mixed


def _left_out(answers: Sequence[Qualities], outcomes: Targets) -> NDArray[np.float64]:
    """Return ridge predictions of outcomes from others' answers, each row left out of its own."""
    found = np.stack(answers, axis=1).astype(np.float64)
    means = np.nanmean(found, axis=0)
    found = np.where(np.isnan(found), means, found) - means
    centre = outcomes.mean(axis=0, dtype=np.float64)
    gram = found.T @ found + OTHERS_PENALTY * np.eye(found.shape[1])
    mapped = np.linalg.solve(gram, found.T)
    leverage = np.einsum("ij,ji->i", found, mapped)[:, None]
    fitted = found @ (mapped @ (outcomes - centre))
    left: NDArray[np.float64] = (fitted - leverage * (outcomes - centre)) / (1 - leverage) + centre
    return left
