"""The heads for task, domain and asker: linear, and trained to hold for sources they have not seen.

Labels are of whole data sets, so whatever marks a set predicts its label. Against that: a source weighs by the root of
its size and not by its size; n-grams count only if several sources, or templates, have them (as in invariant risk
minimisation, Arjovsky et al., 2019, what holds in one environment alone is not trusted); half of the weight is on
prompts made from templates; and known terms, whose weights many texts share, speak louder than single n-grams.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from tandem.classifier.features import SURFACE_NAMES, Batch
from tandem.training.classifier.design import known_terms
from tandem.training.classifier.labelled import DOMAINS, GENERATED, MEASURED_ONLY, TASKS, Labelled

Floats = NDArray[np.float32]
Labels = Callable[[Labelled], str | None]

GRAMS: Final = 8.0
"""Length of the n-grams of a text, against dense numbers of about 1."""
TERMS: Final = 0.3
"""Factor of the standardised terms."""
VECTOR: Final = 0.1
"""Factor of the standardised numbers of an encoder."""
LEAST_UNITS: Final = 6
"""Fewest families or templates that have an n-gram that counts."""
FULL_CELL: Final = 150
"""Texts of one source and label from which on more of them weigh no more."""
CELL_POWER: Final = 0.6
GENERATED_WEIGHT: Final = 4.0
BALANCE: Final = 0.5
"""How far the labels are brought to the same weight: 0 not at all, 1 fully."""
PENALTY: Final = 0.2
ITERATIONS: Final = 30
TEMPERATURES: Final = tuple(float(value) for value in np.geomspace(0.5, 8, 49))
FOLDS: Final = 5
UNDECIDED_BELOW: Final = 0.3
"""Calibrated probability below which no label is given: there the likeliest is wrong more often than right."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a head tells apart, and how loud the form of a text may speak for it."""

    labels: tuple[str, ...]
    of: Labels
    surface: float
    measured_only: tuple[str, ...] = MEASURED_ONLY
    """Beginnings of the names of sources that it does not learn from."""

    def learns(self, text: Labelled) -> bool:
        """Tell whether it learns from a text."""
        return self.of(text) is not None and not text.source.startswith(self.measured_only)


_UNTAUGHT: Final = ("mmlu", "lexeval", "llmrouter:", "routerarena:", "zeroeval:")
"""Test sets recorded for their outcomes. Most are short questions of fact: learning tasks from them makes whatever is
short a question of fact (AGIEval, left out, 0.82 without and 0.69 with them). Their domains are worth learning."""

KINDS: Final = {
    "task": Kind(TASKS, lambda text: text.task, 0.15, (*MEASURED_ONLY, *_UNTAUGHT)),
    "domain": Kind(DOMAINS, lambda text: text.domain, 0.06),
}


@dataclass(frozen=True, slots=True)
class LabelHead:
    """Weights of the labels: of buckets [buckets, labels], of standardised dense numbers [dense, labels], a bias.

    Columns divided by `temperature` are log-odds whose softmax is calibrated on families left out; the likeliest label
    is given from `threshold` on. With two labels there is one column, the log-odds of the second.
    """

    labels: tuple[str, ...]
    buckets: Floats
    dense: Floats
    bias: Floats
    temperature: float
    threshold: float

    def columns(self, grams: sparse.csr_array, standard: Floats) -> Floats:
        """Return what the head says of texts; shape [texts, columns]."""
        said: Floats = grams @ self.buckets + standard @ self.dense + self.bias
        return said


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts as heads read them: n-grams [texts, buckets], and dense numbers standardised and cut, [texts, dense]."""

    grams: sparse.csr_array
    standard: Floats

    @classmethod
    def of(cls, batch: Batch, buckets: int, mean: Floats, scale: Floats, limit: float) -> Rows:
        """Make the rows from features and from how the artifact standardises dense numbers."""
        count = len(batch.indptr) - 1
        grams = sparse.csr_array(
            (batch.values, batch.indices.astype(np.int64), batch.indptr), shape=(count, buckets)
        )
        return cls(grams, np.clip((batch.dense - mean) / scale, -limit, limit).astype(np.float32))

    def take(self, at: NDArray[np.intp]) -> Rows:
        """Return some of the rows."""
        return Rows(self.grams[at], self.standard[at])


def fit_labels(rows: Rows, texts: Sequence[Labelled], calibrate: bool = True) -> dict[str, LabelHead]:
    """Fit the heads for task and domain; `rows` are those of `texts`. Without calibration the temperature is 1."""
    return {name: fit_kind(kind, rows, texts, calibrate) for name, kind in KINDS.items()}


def fit_kind(kind: Kind, rows: Rows, texts: Sequence[Labelled], calibrate: bool = True) -> LabelHead:
    """Fit the head of one kind on the texts that have a label of it and may be learned from.

    Raises:
        ValueError: a label has no text.
    """
    known = np.array([at for at, text in enumerate(texts) if kind.learns(text)], np.intp)
    chosen = [texts[at] for at in known]
    if absent := set(kind.labels) - {kind.of(text) for text in chosen}:
        raise ValueError(f"No text is labelled {', '.join(sorted(absent))}, so no head can learn it.")
    taken = rows.take(known)
    temperature = _temperature(kind, taken, chosen) if calibrate else 1.0
    weights, bias = _fit(kind, taken, chosen)
    split = rows.grams.shape[1]
    buckets, dense = weights[:split].astype(np.float32), weights[split:].astype(np.float32)
    return LabelHead(kind.labels, buckets, dense, bias.astype(np.float32), temperature, UNDECIDED_BELOW)


def weigh(texts: Sequence[Labelled], of: Labels) -> NDArray[np.float64]:
    """Return the weight of each text, of mean 1: by its source and label, not by how many there are."""
    cells = Counter((text.source, of(text)) for text in texts)
    weights = np.empty(len(texts))
    for at, text in enumerate(texts):
        size = cells[text.source, of(text)]
        factor = GENERATED_WEIGHT if text.family == GENERATED else 1.0
        weights[at] = factor * min(size, FULL_CELL) ** CELL_POWER / size
    names = np.array([of(text) for text in texts])
    totals = {name: float(weights[names == name].sum()) for name in np.unique(names)}
    mean = sum(totals.values()) / len(totals)
    weights *= np.array([(mean / totals[name]) ** BALANCE for name in names])
    balanced: NDArray[np.float64] = weights * len(weights) / weights.sum()
    return balanced


def shared(grams: sparse.csr_array, units: Sequence[str], least: int) -> NDArray[np.intp]:
    """Return the buckets that texts of at least so many units have."""
    _, numbers = np.unique(np.asarray(units), return_inverse=True)
    ones = np.ones(len(numbers), np.float32)
    by_unit = sparse.csr_array(
        (ones, (numbers, np.arange(len(numbers)))), shape=(numbers.max() + 1, len(numbers))
    )
    present = sparse.csr_array((np.ones_like(grams.data), grams.indices, grams.indptr), shape=grams.shape)
    counts = np.bincount((by_unit @ present).tocsr().indices, minlength=grams.shape[1])
    found: NDArray[np.intp] = np.flatnonzero(counts >= least)
    return found


def _fit(
    kind: Kind, rows: Rows, texts: Sequence[Labelled]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights [buckets + dense, columns] and bias [columns], for rows as they are, not as scaled here."""
    units = [text.unit for text in texts]
    kept = shared(rows.grams, units, min(LEAST_UNITS, max(1, len(set(units)) // 2)))
    factors = _factors(kind, rows.standard.shape[1])
    scaled = sparse.hstack(
        (rows.grams[:, kept] * GRAMS, sparse.csr_array(rows.standard * factors)),
        format="csr",
        dtype=np.float64,
    )
    model = LogisticRegression(C=1 / PENALTY, max_iter=ITERATIONS, tol=1e-12)
    truth = [kind.labels.index(kind.of(text) or "") for text in texts]
    _quietly(model, scaled, truth, weigh(texts, kind.of))
    weights = np.zeros((rows.grams.shape[1] + rows.standard.shape[1], len(model.intercept_)))
    weights[kept] = model.coef_[:, : len(kept)].T * GRAMS
    weights[rows.grams.shape[1] :] = model.coef_[:, len(kept) :].T * factors[:, None]
    return weights, model.intercept_


def _factors(kind: Kind, dense: int) -> Floats:
    factors = np.full(dense, TERMS, np.float32)
    factors[: len(SURFACE_NAMES)] = kind.surface
    factors[len(SURFACE_NAMES) + len(known_terms().names) :] = VECTOR
    return factors


def _quietly(
    model: LogisticRegression,
    scaled: sparse.csr_array,
    truth: Sequence[int],
    weights: NDArray[np.float64],
) -> None:
    """Fit; that the iterations end before the minimum is meant, as another guard against learning the sources."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(scaled, truth, sample_weight=weights)


def _temperature(kind: Kind, rows: Rows, texts: Sequence[Labelled]) -> float:
    """Return what makes the probabilities of families left out likeliest (Guo et al., 2017)."""
    families = sorted({text.family for text in texts} - {GENERATED})
    fold = {family: number % FOLDS for number, family in enumerate(families)}
    said: list[Floats] = []
    truth: list[int] = []
    for number in range(FOLDS):
        held = np.array([fold.get(text.family) == number for text in texts])
        learned = np.flatnonzero(~held)
        inside = [texts[at] for at in learned.tolist()]
        if not held.any() or {kind.of(text) for text in inside} != set(kind.labels):
            continue
        weights, bias = _fit(kind, rows.take(learned), inside)
        left = rows.take(np.flatnonzero(held))
        split = rows.grams.shape[1]
        said.append(
            (left.grams @ weights[:split] + left.standard @ weights[split:] + bias).astype(np.float32)
        )
        truth += [kind.labels.index(kind.of(texts[at]) or "") for at in np.flatnonzero(held).tolist()]
    return likeliest_temperature(np.concatenate(said), np.array(truth)) if said else 1.0


def likeliest_temperature(columns: Floats, truth: NDArray[np.intp]) -> float:
    """Return the temperature under which the truth is likeliest; `columns` of shape [texts, labels] or [texts, 1]."""
    both = np.concatenate((np.zeros_like(columns), columns), axis=1) if columns.shape[1] == 1 else columns
    best, least = 1.0, np.inf
    for temperature in TEMPERATURES:
        heights = both / temperature
        heights -= heights.max(axis=1, keepdims=True)
        loss = float(np.mean(np.log(np.exp(heights).sum(axis=1)) - heights[np.arange(len(truth)), truth]))
        if loss < least:
            best, least = temperature, loss
    return best
