"""What right answers cost: routing alone, and routing, cascade and ensemble together, on recorded answers.

Two cheap voices, which cost 1 each, and a strong one, which costs `STRONG`. Routing asks a cheap or the strong voice,
by what the strong one gained in the question's category when weights were learned. The cascade asks the cheap ones and
has the strong one join in, and all three vote, where the expected correctness of the cheap ones is below a threshold.
Both together: at each cost the cascade, if it was better beyond noise on halves of what is learned from, else
routing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fusion_bench.row import Numbers, Row, interval
from fusion_bench.served import Split, core, served
from tandem.fusion.fuse import FusionCore
from tandem.training.fusion.panels import learn_panel
from tandem.training.fusion.recordings import Recording
from tandem.training.fusion.train import panels_of, repeated

STRONG: Final = 10.0
INNER: Final = 2
"""Halvings of what is learned from, to choose between routing and the cascade at each cost."""
COSTS: Final = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0)


@dataclass(frozen=True, slots=True)
class Frontier:
    """Right answers at each of `COSTS`; of each split, shape [costs, questions]."""

    routed: Sequence[Numbers]
    together: Sequence[Numbers]


def frontier(found: Sequence[Split]) -> Frontier:
    """Measure both curves on every split."""
    routed, together = [], []
    for split in found:
        voices = panels_of(split.learn)["top 3"]
        inner = [_both(Split(*pair), voices) for pair in repeated(split.learn, INNER)]
        better = np.all([_surely_better(cascade - route) for route, cascade in inner], axis=0)
        route, cascade = _both(split, voices)
        routed.append(route)
        together.append(np.where(better[:, None], cascade, route))
    return Frontier(routed, together)


def _surely_better(gain: Numbers) -> NDArray[np.bool_]:
    """Tell at which costs a gain, of shape [costs, questions], is more than its standard error."""
    return np.asarray(gain.mean(axis=1) > gain.std(axis=1) / np.sqrt(gain.shape[1]), bool)


def _both(split: Split, voices: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Return the right answers of routing and of the cascade at each cost; each of shape [costs, questions]."""
    strong, one, other = voices
    cheap = learn_panel("cheap", split.learn.of((one, other)))
    three = learn_panel("three", split.learn.of((strong, one, other)))
    return _routed(split, strong, one), _cascaded(split.measure.of(voices), core(split.learn, cheap, three))


def frontier_row(name: str, found: Frontier) -> Row:
    """Return the least gain of the cascade over routing at equal cost; it must not be below by more than noise."""
    gains = [
        [both[at] - alone[at] for both, alone in zip(found.together, found.routed, strict=True)]
        for at in range(len(COSTS))
    ]
    means = [float(np.mean([gain.mean() for gain in gain_])) for gain_ in gains]
    ends = [interval(gain) for gain in gains]
    worst = int(np.argmin(means))
    best = int(np.argmax(means))
    return Row(
        f"frontier, {name}: least gain over routing at equal cost",
        means[worst],
        *ends[worst],
        met=all(high >= 0 for _, high in ends),
        bar=0.0,
        more={"cost": COSTS[worst], "gains": [round(mean, 4) for mean in means], "most_at_cost": COSTS[best]},
    )


def _routed(split: Split, strong: str, cheap: str) -> Numbers:
    """Return right answers at each cost: the categories with most gain go to the strong voice, the last one in part."""
    both = split.learn.of((strong, cheap))
    gained = both.right[:, 0].astype(float) - both.right[:, 1]
    categories = np.array(both.categories)
    gain = {name: float(gained[categories == name].mean()) for name in set(both.categories)}
    measure = split.measure.of((strong, cheap))
    score = np.array([gain.get(category, float(gained.mean())) for category in measure.categories])
    order = np.lexsort((np.random.default_rng(0).random(len(score)), -score))
    right = np.zeros((len(COSTS), len(score)))
    for at, cost in enumerate(COSTS):
        share = min((cost - 1.0) / (STRONG - 1.0), 1.0)
        to_strong = np.zeros(len(score), bool)
        to_strong[order[: round(share * len(score))]] = True
        right[at] = np.where(to_strong, measure.right[:, 0], measure.right[:, 1])
    return right


def _cascaded(measure: Recording, fusion: FusionCore) -> Numbers:
    """Return right answers at each cost: where least is expected of the cheap voices, all three vote."""
    pair = measure.of(measure.voices[1:])
    first, expected = served(fusion, pair)
    last, _ = served(fusion, measure)
    order = np.argsort(expected, kind="stable")
    right = np.zeros((len(COSTS), len(first)))
    for at, cost in enumerate(COSTS):
        share = min(max((cost - 2.0) / STRONG, 0.0), 1.0)
        joined = np.zeros(len(first), bool)
        joined[order[: round(share * len(first))]] = True
        right[at] = np.where(joined, last, first)
    return right
