"""The weights of a cascade's gate from verdicts on drafts: logistic regression, drawn to the weights as they were.

Minimises cross-entropy + STRENGTH / 2 × |weights - prior|², with no weight below 0. So with few verdicts the gate stays
near the one it had, a signal that was never there keeps its weight, and a better signal never closes the gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.ledger.labelled import Draft
from tandem.orchestrator.cascade_policy import Gate
from tandem.orchestrator.gate import Evidence, log_odds, probability

Array = NDArray[np.float64]

LEAST: Final = 50
"""Verdicts that are needed."""
LEAST_OF_EACH: Final = 10
"""Right and wrong drafts that are needed among them."""
STRENGTH: Final = 1.0
"""Of the prior: that of four verdicts on drafts that are as likely right as wrong."""
FOLDS: Final = 5
SWEEPS: Final = 500
SETTLED: Final = 1e-9
"""Largest change of a weight in a sweep at which the fit has settled."""
DECIMALS: Final = 4
_NAMES: Final = ("intercept", "confidence", "r1_suffices", "agreement")


class TooFewVerdicts(Exception):
    """The ledger does not know enough about drafts; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a gate tells right drafts from wrong ones."""

    log_loss: float
    """Mean of -ln of the probability that it gave to what was the case."""
    found: float
    """Part of the wrong drafts that it sends on."""
    false_alarms: float
    """Part of the right drafts that it sends on."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A gate from verdicts, and how it compares with the one before on verdicts that it did not learn from."""

    gate: Gate
    drafts: int
    before: Quality
    after: Quality

    @property
    def better(self) -> bool:
        """Whether it gives more probability to what is the case."""
        return self.after.log_loss < self.before.log_loss


def fit_gate(drafts: Sequence[Draft], prior: Gate, threshold: float) -> Fitted:
    """Fit a gate to verdicts.

    Args:
        drafts: drafts with verdicts, in any order.
        prior: the gate as it is.
        threshold: at which `found` and `false_alarms` are measured, 0 to 1.

    Raises:
        TooFewVerdicts: there are fewer than LEAST, or fewer than LEAST_OF_EACH right or wrong ones.
    """
    signals, right = _arrays(drafts)
    count, good = len(right), int(np.sum(right >= 0.5))
    if count < LEAST or min(good, count - good) < LEAST_OF_EACH:
        raise TooFewVerdicts(
            f"{count} verdicts on drafts, {good} of them right; {LEAST} are needed, {LEAST_OF_EACH} of each kind. Book "
            "them with `tandem ledger feedback --tier r1`, also for drafts that the strong tier has replaced"
        )
    held_out = np.empty(count)
    for fold in range(FOLDS):
        out = np.arange(count) % FOLDS == fold
        held_out[out] = _probabilities(_fit(signals[~out], right[~out], prior), signals[out])
    before = np.array([probability(prior, _evidence(draft)) for draft in drafts])
    return Fitted(
        _gate(_fit(signals, right, prior)),
        count,
        _quality(before, right, threshold),
        _quality(held_out, right, threshold),
    )


def _arrays(drafts: Sequence[Draft]) -> tuple[Array, Array]:
    """Return the signals with a leading 1, shape (n, 4), and how right each draft was, shape (n,)."""
    return np.array([_row(_evidence(draft)) for draft in drafts]).reshape(-1, 4), np.array(
        [draft.right for draft in drafts]
    )


def _evidence(draft: Draft) -> Evidence:
    return Evidence(draft.confidence, draft.r1_suffices, draft.agreement)


def _row(evidence: Evidence) -> list[float]:
    return [1.0, *map(log_odds, (evidence.confidence, evidence.r1_suffices, evidence.agreement))]


def _fit(signals: Array, right: Array, prior: Gate) -> Array:
    """Return the weights: Newton's step for one after the other, until none moves."""
    start = np.array([getattr(prior, name) for name in _NAMES])
    weights = start.copy()
    for _ in range(SWEEPS):
        before = weights.copy()
        for index in range(len(weights)):
            found = _probabilities(weights, signals)
            column = signals[:, index]
            slope = column @ (found - right) + STRENGTH * (weights[index] - start[index])
            bend = (column * column) @ (found * (1.0 - found)) + STRENGTH
            moved = weights[index] - slope / bend
            weights[index] = moved if index == 0 else max(0.0, moved)
        if np.max(np.abs(weights - before)) < SETTLED:
            break
    return weights


def _probabilities(weights: Array, signals: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(signals @ weights, -500, 500))))


def _gate(weights: Array) -> Gate:
    rounded = {name: round(float(weight), DECIMALS) for name, weight in zip(_NAMES, weights, strict=True)}
    return Gate(**rounded)


def _quality(found: Array, right: Array, threshold: float) -> Quality:
    clipped = np.clip(found, 1e-9, 1.0 - 1e-9)
    loss = -np.mean(right * np.log(clipped) + (1.0 - right) * np.log(1.0 - clipped))
    sent = (found < threshold).astype(float)
    return Quality(
        float(loss),
        float(sent @ (1.0 - right) / max(np.sum(1.0 - right), 1e-9)),
        float(sent @ right / max(np.sum(right), 1e-9)),
    )
