"""A small table of recorded answers, in which one word tells whether a model is right."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.training.classifier.data import Table

COUNT = 240


@pytest.fixture(scope="session")
def small() -> Table:
    """Questions of two kinds; the weak model fails those that say `integral`, the strong one nearly never."""
    draw = np.random.default_rng(0)
    hard = draw.random(COUNT) < 0.5
    texts = tuple(
        f"Find the {'integral' if each else 'capital'} of thing number {at} called {word}."
        for at, (each, word) in enumerate(zip(hard, draw.integers(0, 10**6, COUNT), strict=True))
    )
    weak = np.where(hard, draw.random(COUNT) < 0.1, draw.random(COUNT) < 0.9).astype(np.float32)
    strong = (draw.random(COUNT) < 0.95).astype(np.float32)
    return Table(
        "small",
        texts,
        tuple(map(str, range(COUNT))),
        tuple("hard" if each else "easy" for each in hard),
        ("general",) * COUNT,
        "en",
        {"weak": weak, "strong": strong},
    )
