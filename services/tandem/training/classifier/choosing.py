"""Chooses hyper-parameters by cross-validation within what is learned from, one setting for all tables.

Every setting of a grid is tried on every table: heads are fitted on two thirds of its questions and score the third.
The setting with the best mean APGR over the tables is taken. Questions that a caller measures on are not handed in, so
that the choice knows nothing of them.

Trying is cheap because ridge is solved over questions and not over features: a matrix of how alike two questions are
serves every setting (Saunders et al., "Ridge regression learning algorithm in dual variables", 1998). What makes heads
indifferent to manners, the second wording, is left out here, and of a large table a part is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from tandem.classifier.features import Batch
from tandem.training.classifier import design
from tandem.training.classifier.data import Pair, Rows, Table
from tandem.training.classifier.folds import numbered, splits
from tandem.training.classifier.hyperparameters import Hyperparameters
from tandem.training.classifier.own_measure import apgr
from tandem.training.classifier.routing import Targets, labels, score

Floats = NDArray[np.float32]

INNER_FOLDS: Final = 3
INNER_SEED: Final = 5
MOST: Final = 1500
"""Most questions of a table that settings are tried on."""


class NothingToChoose(Exception):
    """There are too few questions to tell settings apart."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The settings that are tried: all combinations."""

    penalties: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0)
    forms: tuple[float, ...] = (0.5, 1.0, 2.0)
    widths: tuple[float, ...] = (0.35, 0.7, 1.4, 2.8)
    denoised: tuple[float, ...] = (0.0, 0.5, 1.0)
    trusts: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)

    def settings(self) -> list[Hyperparameters]:
        """Return the settings, in the order in which they are tried."""
        return [
            Hyperparameters(penalty, form, width, denoised, trust)
            for width, form, penalty, denoised, trust in product(
                self.widths, self.forms, self.penalties, self.denoised, self.trusts
            )
        ]


@dataclass(frozen=True, slots=True)
class Known:
    """Questions of one table that both models of a pair answered, and that settings may be tried on."""

    table: Table
    pair: Pair
    features: Batch
    alike: Floats
    """Products of their n-grams; shape [questions, questions]."""
    units: Rows | tuple[str, ...]
    """What is learned from or scored as a whole: near-duplicates, or subjects; shape [questions]."""

    def take(self, rows: Rows) -> Known:
        """Return some of the questions."""
        units = tuple(np.asarray(self.units)[rows].tolist())
        return Known(
            self.table.take(rows),
            self.pair,
            design.take(self.features, rows),
            self.alike[np.ix_(rows, rows)],
            units,
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """The setting that is best, with its mean APGR."""

    hyperparameters: Hyperparameters
    apgr: float


def drawn(rows: Rows, most: int = MOST) -> Rows:
    """Return the rows that settings are tried on: all, or of many a part."""
    chosen: Rows = np.sort(np.random.default_rng(INNER_SEED).permutation(rows)[:most])
    return chosen


def alike(features: Batch) -> Floats:
    """Return the products of the n-grams of questions; shape [questions, questions]."""
    shape = (len(features.indptr) - 1, design.SPEC.buckets)
    grams = sparse.csr_array(
        (features.values, features.indices.astype(np.int32), features.indptr.astype(np.int32)), shape=shape
    )
    found: Floats = (grams @ grams.T).toarray().astype(np.float32)
    return found


def choose(known: Sequence[Known], grid: Grid | None = None) -> Choice:
    """Return the setting that serves the tables best; of equal ones the first.

    Raises:
        NothingToChoose: no table has questions enough to tell settings apart.
    """
    tried = grid or Grid()
    found = np.array([each for table in known if (each := values(table, tried)) is not None])
    if not len(found):
        raise NothingToChoose(
            "No table has questions enough to choose hyper-parameters on. Leave them as they are."
        )
    means = found.mean(axis=0)
    best = int(np.argmax(means))
    return Choice(tried.settings()[best], float(means[best]))


def values(known: Known, grid: Grid) -> NDArray[np.float64] | None:
    """Return the APGR of every setting on questions not learned from; none where there is no gap, or one unit only."""
    weak, strong = (
        known.table.outcomes[model].astype(np.float64) for model in (known.pair.weak, known.pair.strong)
    )
    folds = numbered(list(map(str, known.units)), seed=INNER_SEED, folds=INNER_FOLDS)
    if len(np.unique(folds)) < INNER_FOLDS:
        return None
    found = np.array(
        [
            apgr(score(said, trust).astype(np.float64), weak, strong)
            for width in grid.widths
            for said in _said(known, grid, width, list(splits(folds)))
            for trust in grid.trusts
        ]
    )
    return None if np.isnan(found).any() else found


def _said(known: Known, grid: Grid, width: float, inner: Sequence[tuple[Rows, Rows]]) -> Iterator[Targets]:
    """Give what the heads say of every question, [questions, 2]: by form, by penalty, by part that is denoised."""
    waves, rest = design.Design.of(known.features.dense, width).numbers(known.features)
    straight = known.alike + rest @ rest.T
    curved = waves @ waves.T
    targets = [
        [labels(known.table, known.pair, learned, part) for part in grid.denoised] for learned, _ in inner
    ]
    for form in grid.forms:
        kernel = straight + np.float32(form**2) * curved
        said = np.empty((len(grid.penalties), len(grid.denoised), len(kernel), 2), np.float32)
        for (learned, asked), wanted in zip(inner, targets, strict=True):
            predict = ridge(kernel, learned, asked)
            for at, penalty in enumerate(grid.penalties):
                found = predict(np.concatenate(wanted, axis=1), penalty)
                said[at][:, asked] = np.stack(np.split(found, len(wanted), axis=1))
        yield from said.reshape(-1, len(kernel), 2)


def predicted(
    features: Batch, grams: Floats, targets: Targets, learned: Rows, chosen: Hyperparameters
) -> Targets:
    """Return what heads say of all questions, [questions, heads], that learn `targets` of some, [learned, heads].

    `grams` are the products that `alike` returns of the features.
    """
    laid = design.Design.of(features.dense[learned], chosen.width, chosen.form)
    waves, rest = laid.numbers(features)
    kernel = grams + waves @ waves.T + rest @ rest.T
    return ridge(kernel, learned, np.arange(len(kernel)))(targets, chosen.penalty)


def ridge(kernel: Floats, learned: Rows, asked: Rows) -> Callable[[Targets, float], Targets]:
    """Return what fits heads with a free constant on the rows learned, [learned, heads], and says [asked, heads]."""
    inside = kernel[np.ix_(learned, learned)]
    middle = inside.mean(axis=0)
    centred = inside - middle - middle[:, None] + middle.mean()
    across = kernel[np.ix_(asked, learned)] - middle

    def predict(targets: Targets, penalty: float) -> Targets:
        mean = targets.mean(axis=0)
        penalised = centred.copy()
        penalised.flat[:: len(learned) + 1] += np.float32(penalty)
        factor = linalg.cho_factor(penalised, overwrite_a=True, check_finite=False)
        parts = linalg.cho_solve(factor, targets - mean, check_finite=False)
        found: Targets = (across @ parts + mean).astype(np.float32)
        return found

    return predict
