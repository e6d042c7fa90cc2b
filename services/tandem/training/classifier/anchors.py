"""What is assumed of requests that nobody has recorded answers to.

All recorded answers are to questions of examinations, which have a right answer. People also greet, and ask for poems,
letters and translations, and heads that never saw such a request guess. So prompts made from templates join what is
learned from, with outcomes that are assumed by task: a weaker model does nearly as well where nothing can be wrong, and
falls behind in calculation, code and inference, and the more so the more a request demands: a proof, several steps,
things weighed against each other. These numbers are judgement, not measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.training.classifier import design
from tandem.training.classifier.generated import GENERATED_SEED, generated

COPIES: Final = 3
WEAK_LOSS: Final = 0.08
STRONG_LOSS: Final = 0.03
"""What a point of demand costs either model's chance."""
LEAST_CHANCE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Assumed:
    """Chances that either model is right, and how hard the request is, 0 to 10."""

    weak: float
    strong: float
    hard: float


BY_TASK: Final = {
    "chat": Assumed(0.97, 0.98, 0.5),
    "creative": Assumed(0.90, 0.94, 3.0),
    "translation": Assumed(0.90, 0.95, 3.0),
    "extraction": Assumed(0.85, 0.92, 3.5),
    "factual": Assumed(0.80, 0.88, 3.0),
    "code": Assumed(0.65, 0.83, 5.0),
    "reasoning": Assumed(0.55, 0.76, 5.5),
    "mathematics": Assumed(0.50, 0.76, 6.0),
}


DEMANDS: Final = {
    "terms of demand.proof": 2.0,
    "terms of demand.steps": 0.5,
    "terms of demand.weighing": 1.2,
    "terms of demand.depth": 0.4,
    "terms of demand.conditions": 0.4,
    "terms of demand.hypothesis": 0.4,
    "terms of demand.recall": -0.7,
}
"""Points of difficulty for known terms of a heading, by the logarithm of one and how many there are."""
MOST_DEMAND: Final = 4.0


@dataclass(frozen=True, slots=True)
class Anchors:
    """Prompts with what is assumed of them: outcomes of shape [prompts, 2], difficulties [prompts]."""

    texts: tuple[str, ...]
    languages: tuple[str, ...]
    outcomes: NDArray[np.float32]
    hard: NDArray[np.float32]


@cache
def anchors() -> Anchors:
    """Return the prompts, the same at every call."""
    prompts = generated(COPIES, GENERATED_SEED)
    texts = tuple(prompt.text for prompt in prompts)
    assumed = [BY_TASK[prompt.task] for prompt in prompts]
    demanded = demands(texts)
    chances = np.array([(each.weak, each.strong) for each in assumed]) - demanded[:, None] * (
        WEAK_LOSS,
        STRONG_LOSS,
    )
    return Anchors(
        texts,
        tuple(prompt.language for prompt in prompts),
        np.clip(chances, LEAST_CHANCE, 1).astype(np.float32),
        np.clip([each.hard for each in assumed] + demanded, 0, 10).astype(np.float32),
    )


def demands(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return by how many points of difficulty texts demand more than their task does, by their terms."""
    extractor = design.extractor()
    points = np.array([DEMANDS.get(name, 0.0) for name in extractor.dense_names])
    demanded: NDArray[np.float64] = extractor.batch(texts).dense @ points
    return np.clip(demanded, -MOST_DEMAND, MOST_DEMAND)
