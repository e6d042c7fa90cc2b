"""Trains the artifact of the classifier from recorded answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import spearmanr

from tandem.classifier.artifact import write_artifact
from tandem.classifier.features import Terms
from tandem.classifier.header import Header
from tandem.classifier.lexicon import headings
from tandem.training.classifier import calibration, design
from tandem.training.classifier.assemble import Columns, assemble, columns_of
from tandem.training.classifier.data import FILES, MISPARSED, PAIRS, Qualities, Table, load_tables, pair_rows
from tandem.training.classifier.difficulty import hard_questions
from tandem.training.classifier.duplicates import clusters
from tandem.training.classifier.folds import numbered, splits
from tandem.training.classifier.lexical import DOMAINS, TASKS, lexical
from tandem.training.classifier.routing import FOREIGN_TRUST, Linear, Targets, fit, labels, score

NAME: Final = "tandem-2026-11"
FOLDS: Final = 3
"""For what calibration is learned from."""
CONTEXT_WEIGHT: Final = 0.3
NEAR: Final = 2.5
"""How far a complexity may be off and still count as right."""
ROUTED: Final = ("r1_right", "pro_right")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Corpus:
    """All questions, one after the other, laid out; with what is known of each."""

    design: design.Design
    rows: sparse.csr_array
    fold: NDArray[np.intp]
    pairs: NDArray[np.intp]
    """Questions that a pair of models answered."""
    targets: Targets
    """What is learned of those; shape [pairs, 2]."""
    outcomes: Targets
    """What really happened there; shape [pairs, 2]."""
    rated: NDArray[np.intp]
    """Questions that many models answered."""
    hard: Qualities


@dataclass(frozen=True, slots=True)
class Fitted:
    """Heads, and what they say of questions that others of their kind did not learn from."""

    heads: Linear
    said: Targets


def train(folder: Path, out: Path, say: Say) -> str:
    """Train on a folder of recorded answers, write the artifact and return its revision.

    The same folder gives the same bytes on the same machine.

    Raises:
        DataMissing: the folder holds no table.
        ArtifactUnusable: the artifact would be too large.
    """
    tables = load_tables(folder)
    say(f"{sum(map(len, tables.values()))} questions of {', '.join(tables)}")
    corpus = lay_out(tables)
    say("learning how likely each tier is right")
    routed = fitted(corpus, corpus.pairs, corpus.targets)
    say("learning how hard questions are")
    hard = fitted(corpus, corpus.rated, corpus.hard[:, None])
    extractor = design.extractor()
    parts = [
        columns_of(ROUTED, routed.heads, corpus.design),
        columns_of(("difficulty",), hard.heads, corpus.design),
        lexical(extractor, corpus.design),
    ]
    header = describe(corpus, routed.said, hard.said[:, 0], parts, digests(folder, tables))
    terms = Terms.of(headings(), design.SPEC.fold_digits)
    return write_artifact(out, header, assemble(parts, corpus.design), terms)


def lay_out(tables: Mapping[str, Table]) -> Corpus:
    """Lay out the questions of all tables; near-duplicates are in one fold."""
    texts = [text for table in tables.values() for text in table.texts]
    keys = [key for table in tables.values() for key in table.keys]
    found = design.batch(texts)
    laid = design.Design.of(found.dense)
    starts = dict(zip(tables, np.cumsum([0, *map(len, tables.values())]), strict=False))
    pairs, targets, outcomes = [], [], []
    for name, pair in PAIRS.items():
        if name in tables and name != "mtbench":
            table = tables[name]
            rows, weak, strong = pair_rows(table, pair)
            kept = np.array([table.groups[row] != MISPARSED for row in rows])
            pairs.append(starts[name] + rows[kept])
            targets.append(labels(table, pair, rows[kept]))
            outcomes.append(np.stack((weak, strong), axis=1)[kept])
    rated = hard_questions(tables)
    return Corpus(
        laid,
        laid.rows(found),
        numbered(clusters(texts, keys), folds=FOLDS),
        np.concatenate(pairs),
        np.concatenate(targets),
        np.concatenate(outcomes),
        np.concatenate([starts[name] + np.arange(len(tables[name])) for name in rated]),
        np.concatenate(list(rated.values())),
    )


def fitted(corpus: Corpus, places: NDArray[np.intp], targets: Targets) -> Fitted:
    """Fit heads on all places, and say of each place what heads say that did not learn from it."""
    said = np.empty_like(targets)
    for learned, asked in splits(corpus.fold[places]):
        said[asked] = fit(corpus.rows[places[learned]], targets[learned]).predict(corpus.rows[places[asked]])
    return Fitted(fit(corpus.rows[places], targets), said)


def describe(
    corpus: Corpus, said: Targets, rated: Qualities, parts: Sequence[Columns], data: dict[str, str]
) -> Header:
    """Return the header: how columns are read, and where they come from."""
    gain = score(said, FOREIGN_TRUST)
    weak, strong = corpus.outcomes.T
    suffices = calibration.learn(-gain, weak, 0, 1)
    gained = calibration.learn(gain, strong - weak, -1, 1)
    hard = calibration.learn(rated, corpus.hard, 0, 10)
    claimed = suffices.read(-gain)
    card = {
        "questions": len(corpus.pairs),
        "rated questions": len(corpus.rated),
        "protocol": f"{FOLDS} folds; near-duplicates in one fold",
        "ECE of r1_suffices": round(calibration.calibration_error(claimed, weak), 4),
        "Spearman of complexity": round(float(spearmanr(rated, corpus.hard).statistic), 4),
        "limits": "English and Chinese; questions of tests more than of assistants; labels of other models than yours",
    }
    mixed = {"pro_right": FOREIGN_TRUST, "r1_right": -1.0}
    document: dict[str, Any] = {
        "format": 1,
        "name": NAME,
        "features": {
            "groups": [
                {"kind": group.kind, "size": group.size, "bits": group.bits, "weight": group.weight}
                for group in design.SPEC.groups
            ],
            "fold_digits": design.SPEC.fold_digits,
        },
        "columns": [name for part in parts for name in part.names],
        "term_names": tuple(headings()),
        "dense_limit": design.LIMIT,
        "context_weight": CONTEXT_WEIGHT,
        "r1_suffices": _head(
            {name: -weight for name, weight in mixed.items()},
            suffices,
            tuple(max(chance, 1 - chance) for chance in suffices.value),
        ),
        "expected_gain": _head(
            mixed,
            gained,
            calibration.nearby(gain, (np.sign(gained.read(gain)) * (strong - weak) >= 0) * 1.0, gained.at),
        ),
        "complexity": _head(
            {"difficulty": 1.0},
            hard,
            calibration.nearby(rated, (np.abs(hard.read(rated) - corpus.hard) <= NEAR) * 1.0, hard.at),
        ),
        "task": {"labels": TASKS, "temperature": 1.0, "threshold": 0.3},
        "domain": {"labels": DOMAINS, "temperature": 1.0, "threshold": 0.4},
        "professional": {"temperature": 1.0, "threshold": 0.6},
        "card": card,
        "data": data,
    }
    return Header.model_validate_json(json.dumps(document))


def _head(
    mix: Mapping[str, float], curve: calibration.Curve, confidence: tuple[float, ...]
) -> dict[str, Any]:
    return {"mix": dict(mix), "at": curve.at, "value": curve.value, "confidence": confidence}


def digests(folder: Path, tables: Mapping[str, Table]) -> dict[str, str]:
    """Return the SHA-256 of every file that was read."""
    files = sorted(FILES[name] for name in tables)
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files}
