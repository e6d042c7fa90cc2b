"""The artifact itself, asked through the code that serves: does it still route?"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from routing_bench.corpus import Corpus, RowMissing
from routing_bench.protocol import Outcome, apgr, interval
from routing_bench.row import Row
from tandem.classifier.artifact import load_artifact
from tandem.classifier.conversation import Conversation
from tandem.classifier.judge import Judge
from tandem.training.classifier.data import PAIRS

TABLES: Final = ("mmlu", "gsm8k", "lexeval", "llmrouter")
QUESTIONS: Final = 500


def outcome_of(judge: Judge, texts: list[str], weak: list[float], strong: list[float]) -> Outcome:
    """Return how an artifact scores questions: by how little it believes that R1 suffices."""
    said = [judge.judge(Conversation(text, "", len(text))).r1_suffices.value for text in texts]
    return Outcome(-np.array(said), np.array(weak), np.array(strong))


def shipped(corpus: Corpus, artifact: Path) -> list[Row]:
    """Return the APGR of the artifact on questions that it may have learned: a check that it works, not a claim."""
    judge = Judge(load_artifact(artifact))
    rows = []
    for name in TABLES:
        try:
            places = corpus.measured(name)
        except RowMissing:
            continue
        chosen = places[np.random.default_rng(0).permutation(len(places))[:QUESTIONS]]
        table, pair = corpus.source(name).table, PAIRS[name]
        weak, strong = (table.outcomes[model][chosen].tolist() for model in (pair.weak, pair.strong))
        found = outcome_of(judge, [table.texts[row] for row in chosen], weak, strong)
        if len(chosen) >= 30:
            low, high = interval([found])
            label = "held out" if corpus.two else "may be learned"
            rows.append(Row(f"shipped artifact, {name} ({label})", apgr(found), low, high))
    return rows
