"""A small artifact made by hand: it judges by known terms and length, and has a few n-grams of its own."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from tandem.classifier.artifact import load_artifact, write_artifact
from tandem.classifier.features import Extractor, Features, FeatureSpec, Group, Terms
from tandem.classifier.header import Header
from tandem.classifier.judge import Judge
from tandem.classifier.lexicon import headings
from tandem.classifier.summing import Sums
from tandem.classifier.weights import Floats, Weights, in_bytes

SPEC: Final = FeatureSpec(
    (
        Group("words", 1, 10),
        Group("words", 2, 10),
        Group("ideographs", 3, 8),
        Group("characters", 3, 8),
    )
)
TASKS: Final = (
    "creative",
    "factual",
    "reasoning",
    "code",
    "extraction",
    "translation",
    "chat",
    "mathematics",
)
DOMAINS: Final = ("general", "medical", "legal", "finance", "science")
COLUMNS: Final = (
    "hard",
    *(f"task.{name}" for name in TASKS),
    *(f"domain.{name}" for name in DOMAINS),
    "professional",
)
WAVES: Final = 16
HARD: Final = {
    "terms of demand.proof": 3.0,
    "terms of demand.steps": 0.8,
    "terms of demand.weighing": 1.5,
    "terms of demand.depth": 1.0,
    "terms of demand.conditions": 0.6,
    "terms of demand.recall": -2.0,
    "terms of domain.medical": 0.8,
    "terms of domain.legal": 1.0,
    "terms of domain.finance": 0.7,
    "terms of domain.science": 0.5,
    "characters": 0.5,
    "count of operator": 0.3,
}
"""What the dense numbers add to the sum that complexity is read from."""


def header(**changes: Any) -> Header:
    """Return the header of the artifact, with changes."""
    hard = {"hard": 1.0}
    document: dict[str, Any] = {
        "format": 1,
        "name": "by-hand",
        "features": {"groups": [{"kind": g.kind, "size": g.size, "bits": g.bits} for g in SPEC.groups]},
        "columns": COLUMNS,
        "term_names": tuple(headings()),
        "dense_limit": 10.0,
        "context_weight": 0.3,
        "r1_suffices": {
            "mix": hard,
            "at": (0, 5, 10),
            "value": (0.9, 0.5, 0.1),
            "confidence": (0.9, 0.5, 0.9),
        },
        "expected_gain": {"mix": hard, "at": (0, 10), "value": (-0.05, 0.6), "confidence": (0.6, 0.6)},
        "complexity": {"mix": hard, "at": (0, 10), "value": (0, 10), "confidence": (0.7, 0.7)},
        "task": {"labels": TASKS, "temperature": 1.0, "threshold": 0.3},
        "domain": {"labels": DOMAINS, "temperature": 1.0, "threshold": 0.4},
        "professional": {"temperature": 1.0, "threshold": 0.6},
        "card": {"made": "by hand"},
        "data": {},
    }
    return Header.model_validate_json(json.dumps({**document, **changes}))


@cache
def terms() -> Terms:
    """Return the terms of the lexicon."""
    return Terms.of(headings())


def weights(seed: int = 0) -> Weights:
    """Return the weights of the artifact; `seed` is for its n-grams and waves, which add little."""
    names = Extractor(SPEC, terms()).dense_names
    dense = np.zeros((len(names), len(COLUMNS)), np.float32)
    for name, weight in HARD.items():
        dense[names.index(name), 0] = weight
    for column, name in enumerate(COLUMNS):
        if name.startswith(("task.", "domain.")) and f"terms of {name}" in names:
            dense[names.index(f"terms of {name}"), column] = 2.0
    dense[names.index("terms of asker.professional"), -1] = 2.0
    dense[names.index("terms of asker.lay"), -1] = -2.0
    bias = np.zeros(len(COLUMNS), np.float32)
    bias[0] = -1.0
    bias[COLUMNS.index("domain.general")] = 1.5
    draw = np.random.default_rng(seed)
    small = draw.normal(0, 0.01, (SPEC.buckets, len(COLUMNS)))
    scale = np.ones(len(names), np.float32)
    frequencies = draw.normal(0, 0.1, (len(names), WAVES)).astype(np.float32)
    phases = draw.uniform(0, 6, WAVES).astype(np.float32)
    waves = draw.normal(0, 0.01, (WAVES, len(COLUMNS))).astype(np.float32)
    return Weights(
        *in_bytes(small), dense, np.zeros_like(scale), scale, 10.0, bias, frequencies, phases, waves
    )


def write(file: Path, seed: int = 0, **changes: Any) -> str:
    """Write the artifact and return its revision."""
    return write_artifact(file, header(**changes), weights(seed), terms())


def judge(folder: Path) -> Judge:
    """Return a judge by the artifact, which is written into a folder."""
    write(folder / "by-hand.safetensors")
    return Judge(load_artifact(folder / "by-hand.safetensors"))


def score(weights: Weights, features: Features) -> Floats:
    """Return the sum of every column; shape [columns]."""
    sums = Sums(weights)
    return sums.ngrams(features.indices, features.values) + sums.form(features.dense)[0]
