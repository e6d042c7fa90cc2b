"""The rows of translation: how often the shipped artifact routes a question otherwise when it is asked in Chinese.

Recorded answers are to questions in one language each, so the pairs are our own (translations.yaml). That is how far
routes agree, not which of two is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.stats import spearmanr

from routing_bench.protocol import RESAMPLES
from routing_bench.row import Row
from routing_bench.signals import SHARE
from tandem.classifier.artifact import load_artifact
from tandem.classifier.conversation import Conversation
from tandem.classifier.judge import Judge

PAIRS: Final = Path(__file__).with_name("translations.yaml")
BORDER: Final = 5.0
"""The default border of complexity."""

Numbers = NDArray[np.float64]
Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the artifact says of the pairs; each [pairs, 2], English first."""

    suffices: Numbers
    complexity: Numbers


def pairs() -> Pairs:
    """Return the questions in English and in Chinese."""
    listed: dict[str, list[list[str]]] = yaml.safe_load(PAIRS.read_text(encoding="utf-8"))
    return [(english, chinese) for each in listed.values() for english, chinese in each]


def translated(artifact: Path) -> list[Row]:
    """Return the rows of an artifact."""
    judge = Judge(load_artifact(artifact))
    said = [[judge.judge(Conversation(text, "", len(text))) for text in pair] for pair in pairs()]
    return rows(
        Judged(
            np.array([[each.r1_suffices.value for each in pair] for pair in said]),
            np.array([[each.complexity.value for each in pair] for pair in said]),
        )
    )


def rows(judged: Judged) -> list[Row]:
    """Return how often routes turn, by one threshold, by one for each language and by the default border; and why."""
    hard = -judged.suffices
    one = hard >= np.quantile(hard, 1 - SHARE)
    each = hard >= np.quantile(hard, 1 - SHARE, axis=0)
    apart = np.abs(judged.suffices[:, 0] - judged.suffices[:, 1])
    further = np.abs(judged.complexity[:, 0] - judged.complexity[:, 1])
    border = judged.complexity >= BORDER
    return [
        _mean("route flips, translation", one[:, 0] != one[:, 1], 0.05),
        _mean("route flips, translation, a threshold for each language", each[:, 0] != each[:, 1]),
        _mean("route flips, translation, complexity of 5", border[:, 0] != border[:, 1]),
        _mean("translation, r1_suffices apart", apart),
        _mean("translation, complexity apart", further),
        _agreement("translation, Spearman of r1_suffices", judged.suffices),
        _agreement("translation, Spearman of complexity", judged.complexity),
    ]


def _mean(name: str, found: NDArray[np.bool_] | Numbers, bar: float | None = None) -> Row:
    draw = np.random.default_rng(0)
    again = [found[draw.integers(0, len(found), len(found))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(again, (2.5, 97.5))
    more = {"questions": len(found)}
    return Row(name, float(found.mean()), float(low), float(high), None, bar, smaller=True, more=more)


def _agreement(name: str, both: Numbers) -> Row:
    draw = np.random.default_rng(0)
    again = [_rank(both[draw.integers(0, len(both), len(both))]) for _ in range(RESAMPLES)]
    low, high = np.percentile(again, (2.5, 97.5))
    return Row(name, _rank(both), float(low), float(high), more={"questions": len(both)})


def _rank(both: Numbers) -> float:
    return float(spearmanr(both[:, 0], both[:, 1]).statistic)
