"""The head that complexity is read from: how many of many models fail.

One pair of models says little of how hard a question is; several tables have the answers of nine to fifty-one models.
The share of them that failed is the difficulty of the question, in the sense of item response theory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from tandem.training.classifier.data import LEAST_MODELS, Qualities, Table, difficulty

TOP: Final = 10.0


def hard_questions(tables: Mapping[str, Table]) -> dict[str, Qualities]:
    """Return, for every table with answers of enough models, how hard each question is, 0 to 10."""
    return {
        name: np.clip(difficulty(table), 0, TOP).astype(np.float32)
        for name, table in tables.items()
        if len(table.outcomes) >= LEAST_MODELS
    }
