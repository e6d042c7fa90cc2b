"""The questions of one or two folders, in numbers, and which of them are to be learned from or measured on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tandem.classifier.encoder import Encoder
from tandem.classifier.features import Batch
from tandem.training.classifier import design
from tandem.training.classifier.anchors import anchors
from tandem.training.classifier.data import (
    LEAST_MODELS,
    PAIRS,
    DataMissing,
    Table,
    difficulty,
    load_tables,
    pair_rows,
)
from tandem.training.classifier.duplicates import clusters
from tandem.training.classifier.folds import FOLDS, GROUP_FOLDS, numbered, splits
from tandem.training.classifier.labelled import LABELS_FILE
from tandem.training.classifier.otherwise import otherwise
from tandem.training.classifier.routing import FOREIGN_TRUST, OWN_TRUST, Targets, labels

Rows = NDArray[np.intp]
Numbers = NDArray[np.float32]


class RowMissing(Exception):
    """What a row needs is not in the folders."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table in numbers. `tested` rows come from the second folder, and are only measured on."""

    table: Table
    features: Batch
    otherwise: Batch
    """The same questions, said a little differently."""
    tested: NDArray[np.bool_]
    labels: Rows
    """The same for near-duplicates."""


@dataclass(frozen=True, slots=True)
class Learning:
    """Rows of features with what is to be learned from them, and rows to be measured on."""

    features: Batch
    otherwise: Batch
    targets: Targets
    asked: Batch
    weak: Numbers
    strong: Numbers
    places: Rows
    """Rows of the table that are measured on."""
    trust: float
    """What the strong model's head weighs."""


@dataclass
class Corpus:
    """All tables. With a second folder there is one split: learn from the first, measure on the second."""

    sources: Mapping[str, Source]
    two: bool
    quick: bool
    encoder: Encoder | None = None
    """Whose vectors are among the features."""
    missing: dict[str, str] = field(default_factory=dict)

    def source(self, name: str) -> Source:
        """Return a table.

        Raises:
            RowMissing: it is not there.
        """
        try:
            return self.sources[name]
        except KeyError:
            raise RowMissing(f"no table {name} in the folder") from None

    def splits(self, name: str, groups: bool = False) -> Iterator[tuple[Rows, Rows]]:
        """Give rows to learn from and to measure on, of a table: by question, or by group never learned from.

        Raises:
            RowMissing: nothing can be measured.
        """
        source = self.source(name)
        rows, _, _ = self.pair(name)
        if groups and len({source.table.groups[row] for row in rows}) < 2:
            raise RowMissing(f"the questions of {name} are of one group, or of none that is known")
        if not self.two:
            kept = source.table.groups if groups else source.labels
            folds = GROUP_FOLDS if groups else FOLDS
            for learned, asked in splits(numbered([kept[row] for row in rows], folds=folds)):
                yield rows[learned], rows[asked]
            return
        tested = source.tested[rows]
        learned, asked = rows[~tested], rows[tested]
        if groups:
            known = {source.table.groups[row] for row in learned}
            asked = asked[[source.table.groups[row] not in known | {name} for row in asked]]
        if not len(learned) or not len(asked):
            raise RowMissing(f"nothing of {name} to {'measure on' if len(learned) else 'learn from'}")
        yield learned[~np.isin(source.labels[learned], source.labels[asked])], asked

    def pair(self, name: str) -> tuple[Rows, Numbers, Numbers]:
        """Return the rows where both models answered, and how well.

        Raises:
            RowMissing: one of the models is not in the table.
        """
        try:
            return pair_rows(self.source(name).table, PAIRS[name])
        except KeyError as error:
            raise RowMissing(f"{name} lacks the column of {error}") from None

    def learning(self, name: str, learned: Rows, asked: Rows) -> Learning:
        """Lay out what is learned and measured within one table."""
        source, pair = self.source(name), PAIRS[name]
        outcomes = source.table.outcomes
        return Learning(
            design.take(source.features, learned),
            design.take(source.otherwise, learned),
            labels(source.table, pair, learned),
            design.take(source.features, asked),
            outcomes[pair.weak][asked],
            outcomes[pair.strong][asked],
            asked,
            OWN_TRUST,
        )

    def elsewhere(
        self, names: Sequence[str], target: str, left_out: frozenset[str] = frozenset()
    ) -> dict[str, Rows]:
        """Return the rows to learn from, by table, when another is measured on: no near-duplicate of it is learned.

        `left_out` are groups that are not learned from.

        Raises:
            RowMissing: there is nothing to measure on, or nothing to learn from.
        """
        goal, rows = self.source(target).table, self.measured(target)
        asked = [goal.texts[row] for row in rows], [goal.keys[row] for row in rows]
        found = {}
        for name in names:
            if name == target or name not in self.sources:
                continue
            source = self.sources[name]
            try:
                learned, _, _ = self.pair(name)
            except RowMissing:
                continue
            learned = learned[~source.tested[learned]]
            learned = learned[[source.table.groups[row] not in left_out for row in learned]]
            learned = learned[~self._seen(source.table, learned, *asked)]
            if len(learned):
                found[name] = learned
        if not found:
            raise RowMissing(f"nothing to learn {target} from")
        return found

    def transfer(self, learned: Mapping[str, Rows], target: str, assumed: bool = False) -> Learning:
        """Lay out what is learned from rows of tables and measured on another table.

        `assumed`: whether what is assumed of requests is learned too.

        Raises:
            RowMissing: there is nothing to measure on.
        """
        goal, rows = self.source(target), self.measured(target)
        batches = [design.take(self.sources[name].features, taken) for name, taken in learned.items()]
        others = [design.take(self.sources[name].otherwise, taken) for name, taken in learned.items()]
        targets = [labels(self.sources[name].table, PAIRS[name], taken) for name, taken in learned.items()]
        if assumed:
            batches.append(self.batch(anchors().texts))
            others.append(self.batch(otherwise(anchors().texts, anchors().languages)))
            targets.append(anchors().outcomes)
        outcomes = goal.table.outcomes
        return Learning(
            joined(batches),
            joined(others),
            np.concatenate(targets),
            design.take(goal.features, rows),
            outcomes[PAIRS[target].weak][rows],
            outcomes[PAIRS[target].strong][rows],
            rows,
            FOREIGN_TRUST,
        )

    def measured(self, target: str) -> Rows:
        """Return the rows of a table of which nothing is learned: with a second folder, those of that.

        Raises:
            RowMissing: there are none.
        """
        rows, _, _ = self.pair(target)
        asked = rows[self.source(target).tested[rows]] if self.two else rows
        if not len(asked):
            raise RowMissing(f"nothing of {target} to measure on")
        return asked

    @staticmethod
    def _seen(table: Table, rows: Rows, texts: Sequence[str], keys: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which rows are near-duplicates of texts."""
        both = clusters(
            [*texts, *(table.texts[row] for row in rows)], [*keys, *(table.keys[row] for row in rows)]
        )
        return np.isin(both[len(texts) :], both[: len(texts)])

    def batch(self, texts: Sequence[str]) -> Batch:
        """Return the features of texts that are in no table."""
        return design.batch(texts, self.encoder)

    def difficulties(self, name: str) -> tuple[Source, Numbers]:
        """Return a table and how hard each question was for its models, 0 to 10.

        Raises:
            RowMissing: there is no table, or too few models to tell.
        """
        source = self.source(name)
        if len(source.table.outcomes) < LEAST_MODELS:
            raise RowMissing(
                f"{name} has the answers of {len(source.table.outcomes)} models, not of {LEAST_MODELS}"
            )
        return source, difficulty(source.table)


def joined(batches: Sequence[Batch]) -> Batch:
    """Return batches one after the other."""
    matrices = [
        sparse.csr_array(
            (part.values, part.indices.astype(np.int64), part.indptr),
            shape=(len(part.indptr) - 1, design.SPEC.buckets),
        )
        for part in batches
    ]
    whole = sparse.vstack(matrices, format="csr")
    return Batch(
        whole.indptr.astype(np.int64),
        whole.indices.astype(np.uint32),
        whole.data,
        np.concatenate([part.dense for part in batches]),
    )


def say(text: str) -> None:
    """Tell people what happens."""
    print(text, file=sys.stderr, flush=True)


def read(
    train: Path,
    test: Path | None,
    quick: bool,
    sample: int | None = None,
    encoder: Encoder | None = None,
) -> Corpus:
    """Read the folders and extract the features of all questions, or of a sample of each table.

    Raises:
        DataMissing: a folder has none; the second one may have labelled texts alone.
    """
    first = load_tables(train, say)
    second = _second(test) if test else {}
    sources = {}
    for name in (*first, *(name for name in second if name not in first)):
        if name not in PAIRS:
            continue
        parts = [tables[name] for tables in (first, second) if name in tables]
        tested = np.concatenate(
            [np.full(len(tables[name]), tables is second) for tables in (first, second) if name in tables]
        )
        say(f"reading {name}: {len(tested)} questions")
        table = _whole(parts)
        said = otherwise(table.texts, [table.language] * len(table))
        if sample and sample < len(table):
            drawn = np.sort(np.random.default_rng(0).permutation(len(table))[:sample])
            table, tested, said = table.take(drawn), tested[drawn], [said[at] for at in drawn]
        sources[name] = Source(
            table,
            design.batch(table.texts, encoder),
            design.batch(said, encoder),
            tested,
            clusters(table.texts, table.keys),
        )
    return Corpus(sources, test is not None, quick, encoder)


def _second(folder: Path) -> dict[str, Table]:
    try:
        return load_tables(folder, say)
    except DataMissing:
        if (folder / LABELS_FILE).is_file():
            return {}
        raise


def _whole(parts: Sequence[Table]) -> Table:
    if len(parts) == 1:
        return parts[0]
    first, second = parts
    outcomes = {
        model: np.concatenate((found, second.outcomes[model]))
        for model, found in first.outcomes.items()
        if model in second.outcomes
    }
    return Table(
        first.name,
        first.texts + second.texts,
        first.keys + second.keys,
        first.groups + second.groups,
        first.domains + second.domains,
        first.language,
        outcomes,
        first.second + second.second if first.second and second.second else (),
    )
