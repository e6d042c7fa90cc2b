"""The rows of APGR: one router, many mixes of questions and pairs of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from routing_bench.contenders import Measured, measure, others, together
from routing_bench.corpus import Corpus, RowMissing
from routing_bench.protocol import apgr, interval, share_for
from routing_bench.row import Row
from tandem.training.classifier.data import MISPARSED

DRAWS: Final = 3
"""How often a small number of labels is drawn."""
LABELS: Final = (50, 200, 1500)
FOREIGN: Final = ("mmlu", "gsm8k", "mmlupro", "zeroeval", "llmrouter", "lexeval")
"""What is learned from when the questions measured on have no labels of their own."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row to be made: its name, baseline and bar, and how it is measured."""

    name: str
    baseline: float | None
    bar: float | None
    measure: Callable[[Corpus], list[Measured]]


def cross(corpus: Corpus, name: str, groups: bool = False) -> Measured:
    """Measure a table on questions, or groups, that were not learned from."""
    return together(
        measure(corpus.learning(name, learned, asked)) for learned, asked in corpus.splits(name, groups)
    )


def few(corpus: Corpus, name: str, count: int) -> list[Measured]:
    """Measure a table with so many labels only, drawn a few times."""
    source = corpus.source(name)
    rows, _, _ = corpus.pair(name)
    found = []
    for seed in range(1 if corpus.quick else DRAWS):
        order = np.random.default_rng(seed).permutation(rows)
        if corpus.two:
            asked, pool = order[source.tested[order]], order[~source.tested[order]]
        else:
            asked, pool = order[count:], order[:count]
        pool = pool[~np.isin(source.labels[pool], source.labels[asked])][:count]
        if len(asked) < 30 or len(pool) < count / 2:
            raise RowMissing(f"too few questions of {name} for {count} labels")
        found.append(measure(corpus.learning(name, pool, asked), neighbours=count > 200))
    return found


def _without_misparsed(corpus: Corpus, found: Measured) -> Measured:
    groups = corpus.source("mmlu").table.groups
    return found.take(np.array([groups[row] != MISPARSED for row in found.places], np.bool_))


class Rows:
    """Makes the rows, each table's cross-validation once."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self._crossed: dict[tuple[str, bool], Measured] = {}

    def crossed(self, name: str, groups: bool = False) -> Measured:
        """Return the measurement of a table by question or by group, remembered."""
        if (name, groups) not in self._crossed:
            self._crossed[name, groups] = cross(self.corpus, name, groups)
        return self._crossed[name, groups]

    def wanted(self) -> Iterator[Wanted]:
        """Give the rows of the issue's table."""
        one = self._one
        yield Wanted("MMLU, 1,500 labels", 0.628, 0.65, lambda corpus: few(corpus, "mmlu", 1500))
        yield Wanted("MMLU, by question", 0.680, 0.70, one("mmlu"))
        yield Wanted(
            "MMLU, by question, without high_school_mathematics",
            0.652,
            0.67,
            lambda corpus: [_without_misparsed(corpus, self.crossed("mmlu"))],
        )
        yield Wanted("MMLU, held-out subject", 0.620, 0.63, one("mmlu", groups=True))
        yield Wanted("GSM8K, by question", 0.638, 0.66, one("gsm8k"))
        yield Wanted("MMLU → GSM8K", 0.60, 0.60, lambda corpus: [_moved(corpus, ("mmlu",), "gsm8k")])
        yield Wanted("LexEval-zh, in task", 0.72, 0.75, one("lexeval"))
        yield Wanted("LexEval-zh, unseen task", 0.57, 0.60, one("lexeval", groups=True))
        yield Wanted("MMLU-Pro, Mixtral → Gemini", 0.59, 0.61, one("mmlupro"))
        yield Wanted("ZeroEval, 4o-mini → o1-mini", 0.75, 0.77, one("zeroeval"))
        yield Wanted("LLMRouter, Qwen-7B → Nemotron", 0.81, 0.84, one("llmrouter"))
        yield Wanted("MT-Bench", 0.802, None, lambda corpus: [_moved(corpus, FOREIGN, "mtbench")])
        yield Wanted(
            "RouterArena, nothing of it learned",
            None,
            None,
            lambda corpus: [_moved(corpus, FOREIGN, "routerarena")],
        )
        yield Wanted(
            "LLMRouter, nothing of it learned",
            None,
            None,
            lambda corpus: [_moved(corpus, FOREIGN, "llmrouter")],
        )

    def labels(self) -> Iterator[Wanted]:
        """Give the rows of label efficiency; all labels are the rows by question."""
        for table in ("mmlu", "gsm8k", "zeroeval", "lexeval"):
            for count in LABELS:
                yield Wanted(
                    f"{table}, {count} labels",
                    None,
                    None,
                    lambda corpus, table=table, count=count: few(corpus, table, count),  # type: ignore[misc]  # bound
                )

    def _one(self, name: str, groups: bool = False) -> Callable[[Corpus], list[Measured]]:
        return lambda _: [self.crossed(name, groups)]


def _moved(corpus: Corpus, names: tuple[str, ...], target: str) -> Measured:
    """Measure a table of which nothing was learned."""
    return measure(corpus.transfer(foreign(corpus, names, target), target, assumed=len(names) > 1))


def foreign(corpus: Corpus, names: tuple[str, ...], target: str) -> dict[str, NDArray[np.intp]]:
    """Return the rows that are learned when a table is measured of which nothing is; misparsed ones are not either.

    Raises:
        RowMissing: there is nothing to measure on, or nothing to learn from.
    """
    left_out = frozenset({MISPARSED}) if len(names) > 1 else frozenset[str]()
    return corpus.elsewhere(names, target, left_out)


def make(wanted: Wanted, corpus: Corpus) -> Row:
    """Measure a row.

    Raises:
        RowMissing: the folders lack what it needs.
    """
    found = wanted.measure(corpus)
    outcomes = [each.outcome for each in found]
    if not all(map(len, outcomes)):
        raise RowMissing("no question is left to measure on")
    low, high = interval(outcomes)
    beside = [others(each) for each in found]
    more: dict[str, float | int | None] = {
        name: _rounded([each[name] for each in beside]) for name in beside[0]
    }
    more |= {
        "exact": _rounded([apgr(outcome, "exact") for outcome in outcomes]),
        "cpt50": _rounded([share_for(outcome, 0.5) for outcome in outcomes]),
        "cpt80": _rounded([share_for(outcome, 0.8) for outcome in outcomes]),
        "cpt50_exact": _rounded([share_for(outcome, 0.5, "exact") for outcome in outcomes]),
        "cpt80_exact": _rounded([share_for(outcome, 0.8, "exact") for outcome in outcomes]),
        "questions": len(outcomes[0]),
    }
    value = float(np.mean([apgr(outcome) for outcome in outcomes]))
    return Row(wanted.name, value, low, high, wanted.baseline, wanted.bar, more=more)


def _rounded(values: list[float]) -> float | None:
    mean = float(np.mean(values))
    return None if np.isnan(mean) else round(mean, 4)
