"""The evaluation of a router: the curve of quality over the strong model's share, and what is read off it.

`routellm` is the published protocol (Ong et al., "RouteLLM", 2024): thresholds at the eleven decile edges of the
scores, area by trapezoids, the share for a level by linear interpolation. `exact` has a point for each score and takes
the smallest share that reaches the level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating]
Mode = Literal["routellm", "exact"]

BINS: Final = 10
RESAMPLES: Final = 400


@dataclass(frozen=True, slots=True)
class Curve:
    """Quality at each share of the strong model, shares rising."""

    share: NDArray[np.float64]
    quality: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scores of questions, higher for the strong model, and how well both models did on them; each [questions]."""

    score: Numbers
    weak: Numbers
    strong: Numbers

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Outcome:
        """Return the outcome of some questions."""
        return Outcome(self.score[rows], self.weak[rows], self.strong[rows])

    def scored(self, score: Numbers) -> Outcome:
        """Return the same questions with other scores."""
        return Outcome(score, self.weak, self.strong)


def curve(outcome: Outcome, mode: Mode) -> Curve:
    """Return the curve; with few different scores it may be short."""
    score = np.asarray(outcome.score, np.float64)
    count = len(score)
    order = np.argsort(-score, kind="stable")
    gained = np.concatenate(([0.0], np.cumsum((outcome.strong - outcome.weak)[order], dtype=np.float64)))
    if mode == "exact":
        steps = np.flatnonzero(np.diff(score[order])) + 1
        taken = np.unique(np.concatenate(([0], steps, [count])))
    else:
        edges = np.unique(np.quantile(score, np.linspace(0, 1, BINS + 1)))
        counts = [int((score >= edge).sum()) for edge in edges[:-1]] + [int((score > edges[-1]).sum())]
        taken = np.unique(counts)
    return Curve(taken / count, float(np.mean(outcome.weak)) + gained[taken] / count)


def apgr(outcome: Outcome, mode: Mode = "routellm") -> float:
    """Return the average performance gap recovered: 0.5 for chance; NaN if there is no gap."""
    found = curve(outcome, mode)
    weak, gap = float(np.mean(outcome.weak)), float(np.mean(outcome.strong) - np.mean(outcome.weak))
    span = found.share[-1] - found.share[0]
    if not gap or not span:
        return float("nan")
    area = float(np.sum((found.quality[1:] + found.quality[:-1]) * np.diff(found.share)) / 2)
    return float((area - weak * span) / (gap * span))


def share_for(outcome: Outcome, level: float, mode: Mode = "routellm") -> float:
    """Return CPT: the percentage of strong calls that recovers this part of the gap; NaN if none does."""
    found = curve(outcome, mode)
    weak = float(np.mean(outcome.weak))
    wanted = weak + level * (float(np.mean(outcome.strong)) - weak)
    if mode == "routellm":
        return 100 * float(np.interp(wanted, found.quality, found.share))
    reached = np.flatnonzero(found.quality >= wanted)
    if not len(reached):
        return float("nan")
    at = int(reached[0])
    if not at:
        return 100 * float(found.share[0])
    part = (wanted - found.quality[at - 1]) / (found.quality[at] - found.quality[at - 1])
    return 100 * float(found.share[at - 1] + part * (found.share[at] - found.share[at - 1]))


def oracle(outcome: Outcome) -> Outcome:
    """Return the same questions, scored by what is to be known; ties broken by chance, as deciles need."""
    chance = 1e-9 * np.random.default_rng(0).random(len(outcome))
    return outcome.scored(np.asarray(outcome.strong, np.float64) - outcome.weak + chance)


def interval(outcomes: list[Outcome], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean APGR of outcomes, questions drawn anew; NaN without any gap."""
    draw = np.random.default_rng(seed)
    each = max(1, RESAMPLES // len(outcomes))
    means = np.zeros(each)
    for outcome in outcomes:
        means += [apgr(outcome.take(draw.integers(0, len(outcome), len(outcome)))) for _ in range(each)]
    told = means[~np.isnan(means)]
    if not len(told):
        return float("nan"), float("nan")
    low, high = np.percentile(told / len(outcomes), (2.5, 97.5))
    return float(low), float(high)
