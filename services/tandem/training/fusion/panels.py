"""Learns the vote of one panel: how much to shrink, the weights, and whether to vote at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tandem.fusion.artifact import Gate, Learned
from tandem.fusion.normalise import Kind, Normal
from tandem.training.classifier.folds import numbered
from tandem.training.fusion.design import Design, Numbers, design, panel_of, reliabilities
from tandem.training.fusion.fit import FACTORS, fit, loss_of, probabilities, winners
from tandem.training.fusion.recordings import Recording

FOLDS: Final = 3
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
    often, else the best voice answers.
    """
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
        gate=_gate(recording, usable(forms), found, crossed.told, tuple(panel.log_odds)),
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
    recording: Recording, says: NDArray[np.bool_], found: Design, told: Numbers, order: tuple[str, ...]
) -> Gate:
    won = winners(found, told)
    vote = float(np.where(won >= 0, found.right[won], 0.0).mean())
    best = best_single(recording.of(order), says[:, [recording.voices.index(voice) for voice in order]])
    rule: Literal["vote", "best_single"] = "vote" if vote > best else "best_single"
    return Gate(rule=rule, vote=round(vote, 4), best_single=round(best, 4))


def best_single(recording: Recording, says: NDArray[np.bool_]) -> float:
    """Return how often the first voice that says something is right."""
    first = says.argmax(axis=1)
    right = recording.right[np.arange(len(recording)), first] & says.any(axis=1)
    return float(right.mean())
