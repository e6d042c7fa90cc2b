"""The artifact itself, asked through the code that serves: does it still route, rank and label?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from routing_bench.corpus import Corpus, RowMissing
from routing_bench.label_rows import UNDECIDED, Answer, accuracy
from routing_bench.protocol import Outcome, apgr, interval
from routing_bench.row import Row
from routing_bench.signals import COMPLEXITY, rank_correlation
from tandem.classifier.artifact import load_artifact
from tandem.classifier.conversation import Conversation
from tandem.classifier.judge import Judge
from tandem.enum_words import enum_words
from tandem.training.classifier.data import PAIRS
from tandem.training.classifier.labelled import as_recorded, labelled_texts, recorded_sources
from tandem.training.classifier.labels import KINDS
from tandem.v1 import types_pb2

TABLES: Final = ("mmlu", "gsm8k", "lexeval", "llmrouter")
QUESTIONS: Final = 500
LEAST: Final = 30
"""Fewest questions that a figure is of."""
TASK: Final = enum_words(types_pb2.Task, "TASK_", UNDECIDED)
DOMAIN: Final = enum_words(types_pb2.Domain, "DOMAIN_", UNDECIDED)


def outcome_of(judge: Judge, texts: list[str], weak: list[float], strong: list[float]) -> Outcome:
    """Return how an artifact scores questions: by how little it believes that R1 suffices."""
    said = [_said(judge, text).r1_suffices.value for text in texts]
    return Outcome(-np.array(said), np.array(weak), np.array(strong))


def shipped(corpus: Corpus, artifact: Path, folder: Path) -> list[Row]:
    """Return what the artifact says of questions that it may have learned: a check that it works, not a claim.

    With two folders the questions are of the second, which is `folder`.
    """
    judge = Judge(load_artifact(artifact))
    label = "held out" if corpus.two else "may be learned"
    rows = [*_routes(corpus, judge), *_ranks(corpus, judge), *_labels(folder, judge)]
    return [replace(row, name=f"shipped artifact, {row.name} ({label})") for row in rows]


def _routes(corpus: Corpus, judge: Judge) -> Iterator[Row]:
    for name in TABLES:
        try:
            places = corpus.measured(name)
        except RowMissing:
            continue
        chosen = places[np.random.default_rng(0).permutation(len(places))[:QUESTIONS]]
        table, pair = corpus.source(name).table, PAIRS[name]
        weak, strong = (table.outcomes[model][chosen].tolist() for model in (pair.weak, pair.strong))
        found = outcome_of(judge, [table.texts[row] for row in chosen], weak, strong)
        if len(chosen) >= LEAST:
            low, high = interval([found])
            yield Row(name, apgr(found), low, high)


def _ranks(corpus: Corpus, judge: Judge) -> Iterator[Row]:
    for name, (label, *_) in COMPLEXITY.items():
        try:
            source, hard = corpus.difficulties(name)
        except RowMissing:
            continue
        places = np.flatnonzero(source.tested) if corpus.two else np.arange(len(hard))
        chosen = places[np.random.default_rng(0).permutation(len(places))[:QUESTIONS]]
        rated = np.array([_said(judge, source.table.texts[row]).complexity.value for row in chosen])
        if len(chosen) >= LEAST:
            yield rank_correlation(label, rated, hard[chosen])


def _labels(folder: Path, judge: Judge) -> Iterator[Row]:
    recorded = recorded_sources(folder)
    texts = [text for text in labelled_texts(folder) if text.source in recorded]
    said = [_said(judge, text.text) for text in texts]
    found = {
        "task": [TASK[each.task.value] for each in said],
        "domain": [DOMAIN[each.domain.value] for each in said],
    }
    for name, words in found.items():
        answers = [
            Answer(text.source, text.language, as_recorded(truth), as_recorded(word), 1.0)
            for text, word in zip(texts, words, strict=True)
            if (truth := KINDS[name].of(text))
        ]
        if answers:
            yield accuracy(name, answers)


def _said(judge: Judge, text: str) -> types_pb2.Signals:
    return judge.judge(Conversation(text, "", len(text)))
