"""Who is compared: our router, and what a router must be better than."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from routing_bench.corpus import Learning, Rows
from routing_bench.protocol import Outcome, apgr, oracle
from tandem.training.classifier.design import Design, take
from tandem.training.classifier.routing import Linear, Targets, fit_twice, score

NEIGHBOURS: Final = 50
POOL: Final = 1000
"""Most questions among which neighbours are sought, drawn: the rest of the time is for the router."""
CHANCES: Final = 20

Numbers = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Learned:
    """A design and the two heads over it."""

    design: Design
    heads: Linear


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on questions that were not learned from; arrays of shape [questions]."""

    outcome: Outcome
    neighbours: Numbers
    weak_right: Numbers
    """What the weak model's head says."""
    places: Rows
    """Their rows in the table."""

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Measured:
        """Return some of the questions."""
        return Measured(
            self.outcome.take(rows), self.neighbours[rows], self.weak_right[rows], self.places[rows]
        )


def learn(learning: Learning) -> Learned:
    """Learn the heads."""
    design = Design.of(learning.features.dense)
    rows, other = design.rows(learning.features), design.rows(learning.otherwise)
    return Learned(design, fit_twice(rows, other, learning.targets))


def measure(learning: Learning, neighbours: bool = True) -> Measured:
    """Learn, and score what is asked; NaN for the neighbours if they are not wanted."""
    learned = learn(learning)
    asked = learned.design.rows(learning.asked)
    said = learned.heads.predict(asked)
    near = nearest(learned.design, learning) if neighbours else np.full(len(said), np.nan, np.float32)
    return Measured(
        Outcome(score(said, learning.trust), learning.weak, learning.strong),
        near,
        said[:, 0],
        learning.places,
    )


def nearest(design: Design, learning: Learning) -> NDArray[np.float32]:
    """Return the mean gain of the nearest neighbours on the same features; shape [asked]."""
    pool = np.random.default_rng(0).permutation(len(learning.targets))[:POOL]
    known, asked = design.rows(take(learning.features, pool)), design.rows(learning.asked)
    gains: Targets = learning.targets[pool, 1] - learning.targets[pool, 0]
    grams = known.shape[1] - learning.features.dense.shape[1]
    found = np.empty(asked.shape[0], np.float32)
    count = min(NEIGHBOURS, len(gains))
    left, right = known[:, :grams], known[:, grams:].toarray()
    for start in range(0, asked.shape[0], 500):
        part = asked[start : start + 500]
        alike = (part[:, :grams] @ left.T).toarray() + part[:, grams:].toarray() @ right.T
        best = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        found[start : start + 500] = gains[best].mean(axis=1)
    return found


def together(parts: Iterable[Measured]) -> Measured:
    """Return the measurements of folds as one."""
    listed = list(parts)
    return Measured(
        Outcome(
            *(
                np.concatenate([getattr(part.outcome, name) for part in listed])
                for name in ("score", "weak", "strong")
            )
        ),
        np.concatenate([part.neighbours for part in listed]),
        np.concatenate([part.weak_right for part in listed]),
        np.concatenate([part.places for part in listed]),
    )


def others(measured: Measured) -> dict[str, float]:
    """Return the APGR of everybody else on the same questions, and the quality of always asking one tier."""
    outcome = measured.outcome
    draw = np.random.default_rng(0)
    chance = [apgr(outcome.scored(draw.random(len(outcome)))) for _ in range(CHANCES)]
    return {
        "random": float(np.mean(chance)),
        "knn": apgr(outcome.scored(measured.neighbours)),
        "r1_wrong": apgr(outcome.scored(-measured.weak_right)),
        "oracle": apgr(oracle(outcome)),
        "always_r1": float(np.mean(outcome.weak)),
        "always_pro": float(np.mean(outcome.strong)),
    }
