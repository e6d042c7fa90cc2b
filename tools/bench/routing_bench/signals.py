"""The rows of complexity, calibration and robustness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from routing_bench.contenders import Learned, Measured, learn, measure, together
from routing_bench.corpus import Corpus, RowMissing
from routing_bench.perturb import KINDS, perturbed
from routing_bench.protocol import RESAMPLES
from routing_bench.row import Row, unseen
from tandem.classifier.courtesy import without_courtesy
from tandem.training.classifier import calibration, design
from tandem.training.classifier.data import PAIRS
from tandem.training.classifier.folds import numbered, splits
from tandem.training.classifier.routing import FOREIGN_TRUST, OWN_TRUST, fit_twice, score

Numbers = NDArray[np.floating]

COMPLEXITY: Final = {
    "mmlupro": ("complexity, MMLU-Pro", 0.38, 0.45),
    "lexeval": ("complexity, LexEval-zh", 0.60, 0.62),
    "zeroeval": ("complexity, ZeroEval", 0.66, 0.70),
}
FLIP_TABLES: Final = ("mmlu", "gsm8k", "lexeval", "llmrouter")
FLIP_QUESTIONS: Final = 250
LEAST_CALIBRATED: Final = 50
"""Fewest questions that calibration is measured on."""
SHARE: Final = 0.3
"""Of the strong model, for flips: the default target."""


def complexity(corpus: Corpus, name: str) -> Row:
    """Return the rank correlation of rated and real difficulty.

    Raises:
        RowMissing: the table is not there.
    """
    label, baseline, bar = COMPLEXITY[name]
    source, hard = corpus.difficulties(name)
    rated = np.full(len(hard), np.nan, np.float32)
    for learned, asked in _splits(corpus, name):
        features = design.take(source.features, learned)
        laid = design.Design.of(features.dense)
        other = laid.rows(design.take(source.otherwise, learned))
        heads = fit_twice(laid.rows(features), other, hard[learned, None])
        rated[asked] = heads.predict(laid.rows(design.take(source.features, asked)))[:, 0]
    kept = np.flatnonzero(~np.isnan(rated))
    return replace(rank_correlation(label, rated[kept], hard[kept]), baseline=baseline, bar=bar)


def rank_correlation(name: str, rated: Numbers, hard: Numbers) -> Row:
    """Return how alike two rankings of questions are."""
    draw, places = np.random.default_rng(0), np.arange(len(rated))
    again = [_rank(rated, hard, draw.choice(places, len(places))) for _ in range(RESAMPLES)]
    low, high = np.nanpercentile(again, (2.5, 97.5))
    value = _rank(rated, hard, places)
    return Row(name, value, float(low), float(high), more={"questions": len(places)})


def _splits(corpus: Corpus, name: str) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    source = corpus.source(name)
    if not corpus.two:
        yield from splits(numbered(source.labels))
        return
    learned, asked = np.flatnonzero(~source.tested), np.flatnonzero(source.tested)
    if not len(learned) or not len(asked):
        raise RowMissing(f"{name} is in one folder only")
    yield learned[~np.isin(source.labels[learned], source.labels[asked])], asked


def _rank(rated: Numbers, hard: Numbers, rows: NDArray[np.intp]) -> float:
    return float(spearmanr(rated[rows], hard[rows]).statistic)


def suffices(
    measured: Measured, known: Measured | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the claimed chance that the weak model is right, and whether it was.

    It is read off the mix of heads that the artifact ships. The curve that makes a chance of a score is learned on
    questions that are known; where there are none, on four fifths of the scores and read on the fifth. So neither heads
    nor curve know the question.
    """
    said, truth = _mixed(measured)
    if known is not None:
        return calibration.learn(*_mixed(known), 0, 1).read(said), truth
    claimed = np.empty(len(said))
    for learned, asked in splits(numbered(list(map(str, range(len(said)))), seed=2)):
        claimed[asked] = calibration.learn(said[learned], truth[learned], 0, 1).read(said[asked])
    return claimed, truth


def _mixed(measured: Measured) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the artifact's mix of heads says, and whether the weak model was right."""
    strong_right = (measured.outcome.score + measured.weak_right) / OWN_TRUST
    said = -score(np.stack((measured.weak_right, strong_right), axis=1), FOREIGN_TRUST)
    return np.asarray(said, np.float64), np.asarray(measured.outcome.weak, np.float64)


def known_scores(corpus: Corpus, name: str) -> Measured | None:
    """Return the questions of the first of two folders, each measured by heads that did not learn it; else none.

    Raises:
        RowMissing: there are too few.
    """
    if not corpus.two:
        return None
    learned, _ = next(corpus.splits(name))
    if len(learned) < LEAST_CALIBRATED:
        raise RowMissing(f"{len(learned)} questions to learn from, fewer than {LEAST_CALIBRATED}")
    folds = splits(numbered(corpus.source(name).labels[learned]))
    return together(
        measure(corpus.learning(name, learned[inside], learned[left]), neighbours=False)
        for inside, left in folds
    )


def calibrated(name: str, measured: Measured, bar: float | None, known: Measured | None = None) -> Row:
    """Return the expected calibration error of "R1 suffices".

    Chance alone raises the error of a drawn sample above that of its source, so the bootstrap's interval is reflected.

    Raises:
        RowMissing: there are too few questions to learn a curve from.
    """
    if len(measured.outcome) < LEAST_CALIBRATED:
        raise RowMissing(f"{len(measured.outcome)} questions, fewer than {LEAST_CALIBRATED}")
    claimed, truth = suffices(measured, known)
    draw = np.random.default_rng(0)
    again = [
        calibration.calibration_error(claimed[rows], truth[rows])
        for rows in (draw.integers(0, len(truth), len(truth)) for _ in range(RESAMPLES))
    ]
    drawn_low, drawn_high = np.percentile(again, (2.5, 97.5))
    more = {"reliability": calibration.reliability(claimed, truth), "questions": len(truth)}
    error = calibration.calibration_error(claimed, truth)
    low, high = max(0.0, min(error, 2 * error - drawn_high)), max(error, 2 * error - drawn_low)
    return Row(
        f"ECE of R1 suffices, {name}", error, float(low), float(high), None, bar, smaller=True, more=more
    )


@dataclass(frozen=True, slots=True)
class Fold:
    """Questions of one table, and heads that learned none of them."""

    corpus: Corpus
    found: Learned
    texts: list[str]
    language: str
    trust: float
    qualities: tuple[NDArray[np.float32], NDArray[np.float32]]
    """Of the weak and of the strong model; each [questions]."""


def first_folds(corpus: Corpus) -> list[Fold]:
    """Return some questions of each table whose routes may turn."""
    folds = []
    for name in FLIP_TABLES:
        try:
            learned, asked = next(corpus.splits(name))
        except RowMissing:
            continue
        found = learn(corpus.learning(name, learned, asked))
        asked = np.random.default_rng(0).permutation(asked)[:FLIP_QUESTIONS]
        table, pair = corpus.source(name).table, PAIRS[name]
        qualities = table.outcomes[pair.weak][asked], table.outcomes[pair.strong][asked]
        texts = [table.texts[row] for row in asked]
        folds.append(Fold(corpus, found, texts, table.language, OWN_TRUST, qualities))
    return folds


def flips(folds: Sequence[Fold]) -> list[Row]:
    """Return how often a route turns when a question is said a little differently, by kind and in all.

    The heads are learned from what is not asked; the threshold sends 30 % of the unchanged questions to Pro.

    Raises:
        RowMissing: there is no table.
    """
    turned: dict[str, list[NDArray[np.bool_]]] = {kind: [] for kind in KINDS}
    for fold in folds:
        before = scores(fold, fold.texts)
        edge = np.quantile(before, 1 - SHARE)
        for kind in KINDS:
            after = scores(fold, [perturbed(text, kind, at) for at, text in enumerate(fold.texts)])
            turned[kind].append((before >= edge) != (after >= edge))
    if not any(turned.values()):
        raise RowMissing("no table to turn routes of")
    rows = [share(f"route flips, {kind}", np.concatenate(each), None) for kind, each in turned.items()]
    whole = np.concatenate([part for each in turned.values() for part in each])
    return [share("route flips under perturbation", whole, 0.05), *rows]


def scores(fold: Fold, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the scores of texts, read as the product reads them."""
    read = fold.corpus.batch([without_courtesy(text) for text in texts])
    return score(fold.found.heads.predict(fold.found.design.rows(read)), fold.trust)


def share(name: str, turned: NDArray[np.bool_], bar: float | None) -> Row:
    """Return the row of how many routes turned."""
    draw = np.random.default_rng(0)
    again = [turned[draw.integers(0, len(turned), len(turned))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(again, (2.5, 97.5))
    if not turned.any():
        high = unseen(len(turned))
    return Row(
        name,
        float(turned.mean()),
        float(low),
        float(high),
        None,
        bar,
        smaller=True,
        more={"questions": len(turned)},
    )
