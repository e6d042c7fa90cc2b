"""What is assumed of requests that nobody has recorded answers to.

All recorded answers are to questions of examinations, which have a right answer. People also greet, and ask for poems,
letters and translations, and heads that never saw such a request guess. So prompts made from templates join what is
learned from, with outcomes that are assumed by task: a weaker model does nearly as well where nothing can be wrong, and
falls behind in calculation, code and inference. These numbers are judgement, not measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.training.classifier.generated import GENERATED_SEED, generated

COPIES: Final = 1


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
    assumed = [BY_TASK[prompt.task] for prompt in prompts]
    return Anchors(
        tuple(prompt.text for prompt in prompts),
        tuple(prompt.language for prompt in prompts),
        np.array([(each.weak, each.strong) for each in assumed], np.float32),
        np.array([each.hard for each in assumed], np.float32),
    )
