"""Trains the artifact of the classifier from recorded answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import spearmanr

from tandem.classifier.artifact import write_artifact
from tandem.classifier.encoder import Encoder
from tandem.classifier.header import Header
from tandem.training.classifier import calibration, design
from tandem.training.classifier.anchors import anchors
from tandem.training.classifier.assemble import Columns, assemble, columns_of
from tandem.training.classifier.choosing import Known, alike, choose, drawn
from tandem.training.classifier.data import (
    FILES,
    MISPARSED,
    PAIRS,
    DataMissing,
    Pair,
    Qualities,
    Table,
    load_tables,
    pair_rows,
)
from tandem.training.classifier.difficulty import hard_questions
from tandem.training.classifier.duplicates import clusters
from tandem.training.classifier.folds import numbered, splits
from tandem.training.classifier.hyperparameters import FOREIGN, Hyperparameters
from tandem.training.classifier.labelled import LABELS_FILE
from tandem.training.classifier.otherwise import otherwise
from tandem.training.classifier.routing import PENALTY, Linear, Targets, fit_twice, labels, score
from tandem.training.classifier.shipped_labels import shipped_labels

NAME: Final = "tandem-2026-11"
FOLDS: Final = 2
"""For what calibration is learned from."""
CONTEXT_WEIGHT: Final = 0.3
MIDDLE: Final = 5.0
NEAR: Final = 2.5
"""How far a complexity may be off and still count as right."""
ROUTED: Final = ("r1_right", "pro_right")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Corpus:
    """All questions, one after the other, laid out; with what is known of each."""

    design: design.Design
    rows: sparse.csr_array
    otherwise: sparse.csr_array
    """The same questions, said a little differently."""
    fold: NDArray[np.intp]
    pairs: NDArray[np.intp]
    """Questions that a pair of models answered."""
    targets: Targets
    """What is learned of those; shape [pairs, 2]."""
    outcomes: Targets
    """What really happened there; shape [pairs, 2]."""
    languages: NDArray[np.str_]
    """In which each of those is; shape [pairs]."""
    rated: NDArray[np.intp]
    """Questions that many models answered."""
    hard: Qualities
    assumed: int
    """How many of the last questions are assumed, not measured; they teach, and calibrate nothing."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Heads, and what they say of questions that others of their kind did not learn from."""

    heads: Linear
    said: Targets


def train(
    folder: Path, out: Path, say: Say, encoder: Encoder | None = None, *, choosing: bool = False
) -> str:
    """Train on a folder of recorded answers, write the artifact and return its revision.

    The same folder gives the same bytes on the same machine. An artifact that is trained with an encoder wants it.
    With `choosing` the hyper-parameters of routing are chosen on the folder; the card of the model names them.

    Raises:
        DataMissing: the folder holds no table with a pair of models, or no labelled texts.
        ArtifactUnusable: the artifact would be too large.
        OSError: it cannot be written.
    """
    tables = load_tables(folder, say)
    _check(folder, tables)
    say(f"{sum(map(len, tables.values()))} questions of {', '.join(tables)}")
    chosen = chosen_on(tables, say) if choosing else FOREIGN
    corpus = lay_out(tables, encoder, chosen)
    say("learning how likely each tier is right")
    routed = fitted(corpus, corpus.pairs, corpus.targets, chosen.penalty)
    say("learning how hard questions are")
    hard = fitted(corpus, corpus.rated, corpus.hard[:, None])
    say("learning tasks, domains and askers")
    labelled = shipped_labels(folder, corpus.design, encoder)
    parts = [
        columns_of(ROUTED, routed.heads, corpus.design),
        columns_of(("difficulty",), hard.heads, corpus.design),
        *labelled.columns,
    ]
    document = describe(corpus, routed.said, hard.said[:, 0], parts, chosen.trust)
    if choosing:
        document["card"]["hyperparameters"] = asdict(chosen)
    document |= {**labelled.document, "data": digests(folder, tables)}
    if encoder:
        document |= {"name": f"{NAME}-{encoder.spec.name}", "encoder": encoder.spec.model_dump()}
    header = Header.model_validate_json(json.dumps(document))
    return write_artifact(out, header, assemble(parts, corpus.design), design.known_terms())


def _check(folder: Path, tables: Mapping[str, Table]) -> None:
    """Find out before anything is learned, which takes minutes, that something is not there."""
    if not (folder / LABELS_FILE).is_file():
        raise DataMissing(
            f"{folder} has no {LABELS_FILE}, which tasks, domains and askers are learned from. Put it there, or name "
            "another folder."
        )
    if not _paired(tables):
        raise DataMissing(
            f"No table of {folder} has the answers of both models of a pair, so routing cannot be learned. Name "
            "another folder."
        )


def _paired(tables: Mapping[str, Table]) -> dict[str, Pair]:
    """Return the pairs whose answers there are, by table; conversations that are judged are only measured."""
    return {
        name: pair
        for name, pair in PAIRS.items()
        if name in tables and name != "mtbench" and {pair.weak, pair.strong} <= tables[name].outcomes.keys()
    }


def chosen_on(tables: Mapping[str, Table], say: Say) -> Hyperparameters:
    """Choose the hyper-parameters of routing: those that serve subjects that nothing was learned of, as traffic is.

    Raises:
        NothingToChoose: no table has subjects and questions enough.
    """
    known = []
    for name, pair in _paired(tables).items():
        table = tables[name]
        rows, _, _ = pair_rows(table, pair)
        kept = table.take(drawn(rows[[table.groups[row] != MISPARSED for row in rows]]))
        say(f"comparing {len(kept)} questions of {name}")
        features = design.batch(kept.texts)
        known.append(Known(kept, pair, features, alike(features), kept.groups))
    say("choosing hyper-parameters")
    found = choose(known)
    say(f"{found.hyperparameters.told()}: mean APGR {found.apgr:.3f}")
    return found.hyperparameters


def lay_out(
    tables: Mapping[str, Table], encoder: Encoder | None = None, chosen: Hyperparameters = FOREIGN
) -> Corpus:
    """Lay out the questions of all tables, and what is assumed; near-duplicates are in one fold.

    Tables have other models each, so a share that failed says how hard a question is among those of its table only:
    the mean of every table counts as the middle.
    """
    assumed = anchors()
    texts = [*(text for table in tables.values() for text in table.texts), *assumed.texts]
    keys = [key for table in tables.values() for key in table.keys]
    keys += [f"assumed {at}" for at in range(len(assumed.texts))]
    languages = [table.language for table in tables.values() for _ in table.texts] + list(assumed.languages)
    found = design.batch(texts, encoder)
    laid = design.Design.of(found.dense, chosen.width, chosen.form)
    starts = dict(zip(tables, np.cumsum([0, *map(len, tables.values())]), strict=False))
    pairs, targets, outcomes = [], [], []
    for name, pair in _paired(tables).items():
        table = tables[name]
        rows, weak, strong = pair_rows(table, pair)
        kept = np.array([table.groups[row] != MISPARSED for row in rows])
        pairs.append(starts[name] + rows[kept])
        targets.append(labels(table, pair, rows[kept], chosen.denoised))
        outcomes.append(np.stack((weak, strong), axis=1)[kept])
    rest = sum(map(len, tables.values())) + np.arange(len(assumed.texts))
    answered = np.concatenate([*pairs, rest])
    rated = hard_questions(tables)
    return Corpus(
        laid,
        laid.rows(found),
        laid.rows(design.batch(otherwise(texts, languages), encoder)),
        numbered(clusters(texts, keys), folds=FOLDS),
        answered,
        np.concatenate([*targets, assumed.outcomes]),
        np.concatenate([*outcomes, assumed.outcomes]),
        np.array(languages)[answered],
        np.concatenate([*(starts[name] + np.arange(len(tables[name])) for name in rated), rest]),
        np.concatenate([*(hard - hard.mean() + MIDDLE for hard in rated.values()), assumed.hard]).astype(
            np.float32
        ),
        len(rest),
    )


def fitted(corpus: Corpus, places: NDArray[np.intp], targets: Targets, penalty: float = PENALTY) -> Fitted:
    """Fit heads on all places, and say of each place what heads say that did not learn from it."""
    said = np.empty_like(targets)
    rows, other = corpus.rows[places], corpus.otherwise[places]
    for learned, asked in splits(corpus.fold[places]):
        heads = fit_twice(rows[learned], other[learned], targets[learned], penalty)
        said[asked] = heads.predict(rows[asked])
    return Fitted(fit_twice(rows, other, targets, penalty), said)


def describe(
    corpus: Corpus,
    said: Targets,
    rated: Qualities,
    parts: Sequence[Columns],
    trust: float,
) -> dict[str, Any]:
    """Return the header but for labels and data: how columns are read, and where they come from."""
    measured = len(said) - corpus.assumed
    gain = score(said, trust)[:measured]
    weak, strong = corpus.outcomes[:measured].T
    suffices = calibration.learn(-gain, weak, 0, 1)
    gained = calibration.learn(gain, strong - weak, -1, 1)
    hard = calibration.learn(rated, corpus.hard, 0, 10)
    claimed = suffices.read(-gain)
    card = {
        "questions": measured,
        "assumed requests": corpus.assumed,
        "rated questions": len(corpus.rated),
        "protocol": f"{FOLDS} folds; near-duplicates in one fold",
        "ECE of r1_suffices": round(calibration.calibration_error(claimed, weak), 4),
        "Spearman of complexity": round(float(spearmanr(rated, corpus.hard).statistic), 4),
        "score_quantiles": spread(claimed, corpus.languages[:measured]),
        "limits": "English and Chinese; questions of tests more than of assistants; labels of other models than yours",
    }
    mixed = {"pro_right": trust, "r1_right": -1.0}
    return {
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
        "term_names": design.known_terms().names,
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
        "card": card,
    }


def spread(claimed: NDArray[np.floating], languages: NDArray[np.str_]) -> dict[str, list[float]]:
    """Return what `tandem calibrate` needs without traffic: the quantiles of r1_suffices, of all and by language."""
    groups = {"all": claimed} | {str(name): claimed[languages == name] for name in np.unique(languages)}
    return {name: calibration.quantiles(scores) for name, scores in groups.items()}


def _head(
    mix: Mapping[str, float], curve: calibration.Curve, confidence: tuple[float, ...]
) -> dict[str, Any]:
    return {"mix": dict(mix), "at": curve.at, "value": curve.value, "confidence": confidence}


def digests(folder: Path, tables: Mapping[str, Table]) -> dict[str, str]:
    """Return the SHA-256 of every file that was read."""
    files = sorted([*(FILES[name] for name in tables), LABELS_FILE])
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files}
