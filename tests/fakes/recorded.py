"""Recorded answers of made-up models, in the files that training reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LETTERS = "ABCD"
FIELDS = ("law", "chemistry", "history", "physics", "health", "business")
DOMAINS = {"law": "legal", "health": "medical", "business": "finance"}


def write_choices(folder: Path, count: int, accuracies: tuple[float, ...], seed: int = 0) -> None:
    """Write multiple choice questions, answered by independent models of these accuracies."""
    draw = np.random.default_rng(seed)
    gold = draw.integers(0, 4, count)
    columns: dict[str, list[str | None]] = {
        "question": [f"{seed} {' '.join(map(str, draw.integers(0, 10**6, 8)))}" for _ in range(count)],
        "qkey": [f"{seed}-{at}" for at in range(count)],
        "gold": [LETTERS[letter] for letter in gold],
        "category": [FIELDS[at % len(FIELDS)] for at in range(count)],
        "domain": [DOMAINS.get(FIELDS[at % len(FIELDS)], "general") for at in range(count)],
    }
    for at, accuracy in enumerate(accuracies):
        right = draw.random(count) < accuracy
        said = np.where(right, gold, (gold + draw.integers(1, 4, count)) % 4)
        columns[f"pred:model {at}"] = [LETTERS[letter] if draw.random() < 0.97 else None for letter in said]
    pq.write_table(pa.table(columns), folder / "mmlupro_29models.parquet")
