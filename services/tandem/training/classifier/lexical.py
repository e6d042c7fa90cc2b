"""Columns for task, domain and asker from the lexicon alone, for training without labelled texts."""

from __future__ import annotations

from typing import Final

import numpy as np

from tandem.classifier.features import Extractor
from tandem.training.classifier.assemble import Columns
from tandem.training.classifier.design import SPEC, WAVES, Design

TASKS: Final = (
    "creative",
    "factual",
    "reasoning",
    "mathematics",
    "code",
    "extraction",
    "translation",
    "chat",
)
DOMAINS: Final = ("general", "medical", "legal", "finance", "science")
WEIGHT: Final = 2.0
"""Of ln(1 + the weights of the terms found)."""
GENERAL: Final = 1.5
"""Log-odds of the domain that has no terms."""


def lexical(extractor: Extractor, design: Design) -> Columns:
    """Return a column for each task and domain and for the asker, that counts its known terms."""
    names = (*(f"task.{name}" for name in TASKS), *(f"domain.{name}" for name in DOMAINS), "professional")
    dense = np.zeros((len(design.mean), len(names)), np.float32)
    places = {name: at for at, name in enumerate(extractor.dense_names)}
    signs = [(name, f"terms of {name}", 1.0) for name in names]
    signs += [
        ("professional", "terms of asker.professional", 1.0),
        ("professional", "terms of asker.lay", -1.0),
    ]
    for column, term, sign in signs:
        if term in places:
            dense[places[term], names.index(column)] = sign * WEIGHT
    # A dense number is standardised before it is weighed; here it speaks as it is.
    dense *= design.scale[:, None]
    bias = (design.mean / design.scale) @ dense
    bias[names.index("domain.general")] += GENERAL
    empty = (
        np.zeros((SPEC.buckets, len(names)), np.float32),
        np.zeros((WAVES, len(names)), np.float32),
    )
    return Columns(names, empty[0], dense, empty[1], bias.astype(np.float32))
