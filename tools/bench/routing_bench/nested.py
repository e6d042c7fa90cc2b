"""The rows of nested cross-validation: hyper-parameters chosen without the questions that are measured on.

For every outer fold one setting is chosen for all tables, on what all of them leave to learn from in that fold; what
any table measures there is not seen, nor near-duplicates of it. For traffic like that of the labels the inner folds
are of questions; for subjects and tables that are new, of subjects. Beside each row stands what the fixed setting gives
on the same questions, and how far the two differ, with the interval of that difference.

Both are ridge solved over questions, as where the choice is made: without the second wording, and without what is
assumed of requests. So the fixed column is near the other rows of this bench, and not the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from routing_bench.corpus import Corpus, RowMissing, joined
from routing_bench.gains import FOREIGN as LEARNED
from routing_bench.gains import foreign
from routing_bench.protocol import RESAMPLES, Outcome, apgr, interval
from routing_bench.row import Row
from tandem.training.classifier import design
from tandem.training.classifier.choosing import Known, NothingToChoose, alike, choose, drawn, predicted
from tandem.training.classifier.data import MISPARSED, PAIRS
from tandem.training.classifier.duplicates import clusters
from tandem.training.classifier.hyperparameters import FOREIGN, OWN, Hyperparameters
from tandem.training.classifier.routing import labels, score

BY_QUESTION: Final = {
    "mmlu": "MMLU, by question",
    "gsm8k": "GSM8K, by question",
    "lexeval": "LexEval-zh, in task",
    "mmlupro": "MMLU-Pro, Mixtral → Gemini",
    "zeroeval": "ZeroEval, 4o-mini → o1-mini",
    "llmrouter": "LLMRouter, Qwen-7B → Nemotron",
}
BY_GROUP: Final = {"mmlu": "MMLU, held-out subject", "lexeval": "LexEval-zh, unseen task"}
MOVED: Final = {
    "MMLU → GSM8K": (("mmlu",), "gsm8k"),
    "MT-Bench": (LEARNED, "mtbench"),
    "RouterArena, nothing of it learned": (LEARNED, "routerarena"),
    "LLMRouter, nothing of it learned": (LEARNED, "llmrouter"),
}

MOST_MOVED: Final = 1000
"""Most questions of a table that are learned when another is measured."""

Rows = NDArray[np.intp]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Both:
    """The same questions scored with chosen settings and with the fixed one, fold by fold."""

    nested: list[Outcome]
    fixed: list[Outcome]
    places: list[Rows]
    """Rows of the table."""
    chosen: list[Hyperparameters]

    def take(self, wanted: NDArray[np.bool_]) -> Both:
        """Return the questions in those rows of the table that are wanted."""
        kept = [wanted[places] for places in self.places]

        def some(parts: list[Outcome]) -> list[Outcome]:
            return [part.take(rows) for part, rows in zip(parts, kept, strict=True)]

        places = [rows[left] for rows, left in zip(self.places, kept, strict=True)]
        return Both(some(self.nested), some(self.fixed), places, self.chosen)

    def add(self, places: Rows, scored: Callable[[Hyperparameters], Outcome], fixed: Hyperparameters) -> None:
        """Add what a fold is with the setting that was chosen last, and with the fixed one."""
        self.places.append(places)
        self.nested.append(scored(self.chosen[-1]))
        self.fixed.append(self.nested[-1] if self.chosen[-1] == fixed else scored(fixed))


class Nested:
    """Makes the rows; every choice is told."""

    def __init__(self, corpus: Corpus, say: Say) -> None:
        self._corpus = corpus
        self._say = say
        self._tables: dict[str, tuple[Rows, Known]] = {}

    def rows(self) -> Iterator[Row]:
        """Give the rows, each as soon as it is measured; what the folders lack is said and left out."""
        for groups, names in ((False, BY_QUESTION), (True, BY_GROUP)):
            chosen: dict[int, Hyperparameters] = {}
            for name, label in names.items():
                try:
                    found = self._crossed(name, groups, chosen)
                except RowMissing as missing:
                    self._say(f"{label}: left out, {missing}")
                    continue
                yield row(label, found, folds=not groups)
                if name == "mmlu" and not groups:
                    wanted = np.array(self._corpus.source(name).table.groups) != MISPARSED
                    yield row(f"{label}, without {MISPARSED}", found.take(wanted), folds=True)
        for label, (learned, target) in MOVED.items():
            try:
                yield row(label, self._moved(learned, target), folds=False)
            except RowMissing as missing:
                self._say(f"{label}: left out, {missing}")

    def _crossed(self, name: str, groups: bool, chosen: dict[int, Hyperparameters]) -> Both:
        """Measure a table; `chosen` keeps the settings of the outer folds, which are those of all tables."""
        found = Both([], [], [], [])
        for fold, (learned, asked) in enumerate(self._corpus.splits(name, groups)):
            if fold not in chosen:
                chosen[fold] = self._choose(self._left(fold, groups), groups)
                self._say(f"{'group' if groups else 'question'} fold {fold + 1}: {chosen[fold].told()}")
            found.chosen.append(chosen[fold])
            found.add(asked, partial(self._within, name, learned, asked), OWN)
        return found

    def _within(self, name: str, learned: Rows, asked: Rows, setting: Hyperparameters) -> Outcome:
        """Learn some rows of a table and score others."""
        places, known = self._compared(name)
        targets = labels(known.table, known.pair, np.searchsorted(places, learned), setting.denoised)
        said = predicted(known.features, known.alike, targets, np.searchsorted(places, learned), setting)
        return self._outcome(name, asked, score(said[np.searchsorted(places, asked)], setting.trust))

    def _moved(self, names: tuple[str, ...], target: str) -> Both:
        """Measure a table of which nothing is learned."""
        learned = {
            name: drawn(rows, MOST_MOVED) for name, rows in foreign(self._corpus, names, target).items()
        }
        asked = self._corpus.measured(target)
        found = Both([], [], [], [self._choose(learned, groups=True)])
        self._say(f"{target}, of {len(learned)} other tables: {found.chosen[0].told()}")
        features = joined(
            [design.take(self._corpus.source(name).features, rows) for name, rows in learned.items()]
            + [design.take(self._corpus.source(target).features, asked)]
        )
        grams = alike(features)
        count = sum(map(len, learned.values()))

        def scored(setting: Hyperparameters) -> Outcome:
            targets = np.concatenate(
                [
                    labels(self._corpus.source(name).table, PAIRS[name], rows, setting.denoised)
                    for name, rows in learned.items()
                ]
            )
            said = predicted(features, grams, targets, np.arange(count), setting)
            return self._outcome(target, asked, score(said[count:], setting.trust))

        found.add(asked, scored, FOREIGN)
        return found

    def _outcome(self, name: str, asked: Rows, scores: NDArray[np.float32]) -> Outcome:
        outcomes, pair = self._corpus.source(name).table.outcomes, PAIRS[name]
        return Outcome(scores, outcomes[pair.weak][asked], outcomes[pair.strong][asked])

    def _left(self, fold: int, groups: bool) -> dict[str, Rows]:
        """Return the rows of every table that may be chosen on in an outer fold."""
        learned: dict[str, Rows] = {}
        asked: dict[str, Rows] = {}
        for name in LEARNED:
            try:
                parts = list(self._corpus.splits(name, groups))
            except RowMissing:
                continue
            learned[name], asked[name] = parts[fold % len(parts)]
        seen = np.concatenate([self._alike[name][rows] for name, rows in asked.items()])
        return {name: rows[~np.isin(self._alike[name][rows], seen)] for name, rows in learned.items()}

    @cached_property
    def _alike(self) -> dict[str, Rows]:
        """Numbers for the questions of all tables, the same for near-duplicates in whichever table."""
        tables = [self._corpus.sources[name].table for name in LEARNED if name in self._corpus.sources]
        numbers = clusters(
            [text for table in tables for text in table.texts],
            [key for table in tables for key in table.keys],
        )
        parts = np.split(numbers, np.cumsum([len(table) for table in tables])[:-1])
        return {table.name: part for table, part in zip(tables, parts, strict=True)}

    def _choose(self, learned: Mapping[str, Rows], groups: bool) -> Hyperparameters:
        known = [self._known(name, rows, groups) for name, rows in learned.items() if len(rows)]
        try:
            return choose(known).hyperparameters
        except NothingToChoose as error:
            raise RowMissing(str(error)) from None

    def _known(self, name: str, rows: Rows, groups: bool) -> Known:
        """Return what settings are tried on: of many rows a part."""
        places, known = self._compared(name)
        left = known.take(np.searchsorted(places, drawn(rows)))
        return left if not groups else replace(left, units=left.table.groups)

    def _compared(self, name: str) -> tuple[Rows, Known]:
        """Return the rows of a table that a pair answered, rising, and these questions."""
        if name not in self._tables:
            source = self._corpus.source(name)
            places, _, _ = self._corpus.pair(name)
            self._say(f"comparing {len(places)} questions of {name}")
            features = design.take(source.features, places)
            self._tables[name] = (
                places,
                Known(
                    source.table.take(places), PAIRS[name], features, alike(features), source.labels[places]
                ),
            )
        return self._tables[name]


def row(label: str, both: Both, *, folds: bool) -> Row:
    """Return the row of a table; with `folds`, the means of the folds too; some subjects have no gap."""
    nested, fixed = together(both.nested), together(both.fixed)
    low, high = interval([nested])
    less, more = difference(nested, fixed)
    return Row(
        f"nested, {label}",
        apgr(nested),
        low,
        high,
        more={
            "fixed": round(apgr(fixed), 4),
            "difference": round(apgr(nested) - apgr(fixed), 4),
            "difference_low": round(less, 4),
            "difference_high": round(more, 4),
            **(
                {"nested_by_fold": _by_fold(both.nested), "fixed_by_fold": _by_fold(both.fixed)}
                if folds
                else {}
            ),
            "chosen": [asdict(setting) for setting in both.chosen],
            "questions": len(nested),
        },
    )


def difference(first: Outcome, second: Outcome, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of how much more the first recovers, the same questions drawn for both."""
    draw = np.random.default_rng(seed)
    drawn_again = (draw.integers(0, len(first), len(first)) for _ in range(RESAMPLES))
    gaps = [apgr(first.take(rows)) - apgr(second.take(rows)) for rows in drawn_again]
    low, high = np.nanpercentile(gaps, (2.5, 97.5))
    return float(low), float(high)


def together(parts: list[Outcome]) -> Outcome:
    """Return the questions of folds as one."""
    return Outcome(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "weak", "strong"))
    )


def _by_fold(parts: list[Outcome]) -> float:
    """Return the mean APGR of the folds, each for itself: scores of other settings need not rank together."""
    return round(float(np.nanmean([apgr(part) for part in parts])), 4)
