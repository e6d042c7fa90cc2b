"""Learns the vote of one panel: how much to shrink, the weights, and whether to vote at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tandem.fusion.artifact import Gate, Learned
from tandem.fusion.normalise import Kind, Normal
from tandem.training.classifier.folds import numbered
from tandem.training.fusion.design import Design, Numbers, design, panel_of, reliabilities
from tandem.training.fusion.fit import FACTORS, fit, loss_of, probabilities, winners
from tandem.training.fusion.recordings import Recording

FOLDS: Final = 3
FIELD_FOLDS: Final = 4
LEAST_FIELDS: Final = 3
"""In so many fields a vote must have been measured to vote in another one."""
LEAST_WEIGHT: Final = 5e-4
"""A smaller weight moves nothing, and is not written."""


@dataclass(frozen=True, slots=True)
class _Crossed:
    """Answers to questions that were not learned from."""

    factor: float
    told: Numbers


def learn_panel(name: str, recording: Recording) -> Learned:
    """Return the vote of a recording's voices.

    How much weights are shrunk is chosen by cross-validation, with near-duplicates together, for the least logarithmic
    loss. On the same questions, not learned from, the vote is compared with the best voice: it must be right more
    often, else the best voice answers. In fields that the panel does not know the same holds, measured on fields held
    out.
    """
    with threadpool_limits(1):  # sums are small, and depend on how many threads share them
        return _learn_panel(name, recording)


def _learn_panel(name: str, recording: Recording) -> Learned:
    forms = recording.forms()
    panel = panel_of(recording, forms)
    found = design(recording, forms, panel)
    crossed = _cross(found, numbered(recording.clusters, folds=FOLDS))
    weights = fit(found, np.arange(len(found.right)), crossed.factor)
    reliable = dict(zip(recording.voices, reliabilities(recording.right), strict=True))
    contexts = {context for row in range(len(recording)) for context in recording.contexts(row)}
    return Learned(
        name=name,
        voices=tuple(panel.log_odds),
        reliability={voice: round(float(reliable[voice]), 4) for voice in panel.log_odds},
        questions=len(recording),
        contexts=tuple(sorted(contexts)),
        answers=tuple(sorted(panel.answers)),
        gate=_gate(recording, usable(forms), found, crossed, tuple(panel.log_odds)),
        weights={
            term: round(float(weight), 4)
            for term, weight in zip(found.names, weights, strict=True)
            if abs(weight) >= LEAST_WEIGHT
        },
    )


def usable(forms: Sequence[Sequence[Normal]]) -> NDArray[np.bool_]:
    """Return which answers say anything, shape [questions, voices]."""
    return np.array([[form.kind is not Kind.NOTHING for form in row] for row in forms], bool)


def _cross(found: Design, fold: NDArray[np.intp]) -> _Crossed:
    """Return the factor of least loss on questions that were not learned from, and what was said of them with it."""
    told = np.zeros((len(FACTORS), len(found.right)))
    for number in np.unique(fold):
        rows, out = found.of(fold != number), found.of(fold == number)
        weights = None
        for at, factor in reversed(list(enumerate(FACTORS))):
            weights = fit(found, rows, factor, weights)
            told[at, out] = probabilities(found, weights)[out]
    everywhere = np.ones(found.questions, bool)
    losses = [loss_of(found, told[at], everywhere) for at in range(len(FACTORS))]
    best = int(np.argmin(losses))
    return _Crossed(FACTORS[best], told[best])


def _gate(
    recording: Recording, says: NDArray[np.bool_], found: Design, crossed: _Crossed, order: tuple[str, ...]
) -> Gate:
    best = best_single(recording.of(order), says[:, [recording.voices.index(voice) for voice in order]])
    vote = _right(found, crossed.told)
    rule: Literal["vote", "best_single"] = "vote" if vote.mean() > best.mean() else "best_single"
    return Gate(
        rule=rule,
        vote=round(float(vote.mean()), 4),
        best_single=round(float(best.mean()), 4),
        unseen=rule if _better_elsewhere(recording, found, crossed.factor, best) else "best_single",
    )


def _better_elsewhere(recording: Recording, found: Design, factor: float, best: Numbers) -> bool:
    """Tell whether the vote is better in fields held out, by more than the standard error of the fields' gains."""
    contexts = [recording.contexts(row) for row in range(len(recording))]
    fields = np.array([context[-1] if context else "" for context in contexts])
    names = np.unique(fields)
    if len(names) < LEAST_FIELDS:
        return False
    fold = numbered(fields, folds=min(FIELD_FOLDS, len(names)))
    told = np.zeros(len(found.right))
    for number in np.unique(fold):
        weights = fit(found, found.of(fold != number), factor)
        out = found.of(fold == number)
        told[out] = probabilities(found, weights)[out]
    gain = _right(found, told) - best
    gains = np.array([gain[fields == name].mean() for name in names])
    return bool(gain.mean() > gains.std(ddof=1) / np.sqrt(len(names)))


def _right(found: Design, told: Numbers) -> Numbers:
    """Return whether the likeliest answer of each question is right, shape [questions]."""
    won = winners(found, told)
    right: Numbers = np.where(won >= 0, found.right[won], 0.0)
    return right


def best_single(recording: Recording, says: NDArray[np.bool_]) -> Numbers:
    """Return whether the first voice that says something is right, shape [questions]."""
    first = says.argmax(axis=1)
    right = recording.right[np.arange(len(recording)), first] & says.any(axis=1)
    marks: Numbers = right.astype(np.float64)
    return marks
