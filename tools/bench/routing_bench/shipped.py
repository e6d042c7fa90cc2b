"""The artifact itself, asked through the code that serves: does it still route?"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from routing_bench.corpus import Corpus
from routing_bench.protocol import Outcome, apgr, interval
from routing_bench.row import Row
from tandem.classifier.artifact import load_artifact
from tandem.classifier.conversation import Conversation
from tandem.classifier.judge import Judge

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
        if name not in corpus.sources:
            continue
        places, weak, strong = corpus.pair(name)
        if corpus.two:
            tested = corpus.source(name).tested[places]
            places, weak, strong = places[tested], weak[tested], strong[tested]
        chosen = np.random.default_rng(0).permutation(len(places))[:QUESTIONS]
        texts = [corpus.source(name).table.texts[places[at]] for at in chosen]
        found = outcome_of(judge, texts, weak[chosen].tolist(), strong[chosen].tolist())
        if len(chosen) >= 30:
            low, high = interval([found])
            label = "held out" if corpus.two else "may be learned"
            rows.append(Row(f"shipped artifact, {name} ({label})", apgr(found), low, high))
    return rows
