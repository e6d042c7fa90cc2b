"""Would catch a bench that counts an undecided answer as right, or a large source for more than a small one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import f1_score

from routing_bench.label_rows import (
    UNDECIDED,
    Answer,
    answers,
    draw_confusion,
    label_rows,
    macro_f1,
    mean_accuracy,
)
from routing_bench.signals import share
from tandem.training.classifier.labelled import Labelled
from tandem.training.classifier.labels import KINDS, LabelHead, Rows


def said(source: str, language: str, pairs: list[tuple[str, str]]) -> list[Answer]:
    return [Answer(source, language, truth, claim, 0.9) for truth, claim in pairs]


GAOKAO = said("gaokao", "zh", [("factual", "factual"), ("factual", "reasoning"), ("reasoning", UNDECIDED)])
MBPP = said("mbpp", "en", [("code", "code")] * 6)


def head(bias: list[float], threshold: float) -> LabelHead:
    labels = KINDS["task"].labels
    heights = np.array(bias + [0.0] * (len(labels) - len(bias)), np.float32)
    empty = np.zeros((2, len(labels)), np.float32)
    return LabelHead(labels, empty, empty, heights, 1.0, threshold)


def test_sources_count_alike_whatever_their_size() -> None:
    assert mean_accuracy([*GAOKAO, *MBPP]) == pytest.approx((1 / 3 + 1) / 2)


def test_macro_f1_is_that_of_scikit_learn() -> None:
    both = [*GAOKAO, *MBPP]
    truth, claims = [answer.truth for answer in both], [answer.said for answer in both]
    assert macro_f1(both) == pytest.approx(
        f1_score(truth, claims, average="macro", labels=sorted(set(truth)))
    )


def test_every_figure_has_its_noise() -> None:
    """Or the gate would take one text more that is wrong for a regression."""
    both = [*GAOKAO, *MBPP, *said("bbh", "en", [("reasoning", "factual"), ("reasoning", "reasoning")] * 5)]
    rows = {row.name: row for row in label_rows({"task": both})}
    for name in ("task, macro-F1, all", "task, macro-F1, zh", "task, Chinese minus English"):
        assert rows[name].low < rows[name].value < rows[name].high
    assert rows["task of mbpp"].low == pytest.approx(0.5), "six of six"
    assert share("flips", np.zeros(300, np.bool_), None).high == pytest.approx(0.01)


def test_rows_have_the_bar_the_language_gap_and_each_source() -> None:
    rows = {row.name: row for row in label_rows({"task": [*GAOKAO, *MBPP]})}
    assert rows["task, source left out"].bar == 0.70
    assert rows["task, source left out"].met is False
    assert rows["task, Chinese minus English"].value == pytest.approx(1 / 3 - 1, abs=1e-4)
    assert rows["task of mbpp"].value == 1
    assert rows["task factual, found"].low <= 0.5 <= rows["task factual, found"].high


@pytest.mark.parametrize(("threshold", "expected"), [(0.3, "reasoning"), (0.99, UNDECIDED)])
def test_mathematics_is_read_as_reasoning_and_little_confidence_as_undecided(
    threshold: float, expected: str
) -> None:
    asked = [Labelled("", "en", "reasoning", None, "bbh", "bbh", "bbh")]
    rows = Rows(sparse.csr_array((1, 2), dtype=np.float32), np.zeros((1, 2), np.float32))
    (found,) = answers(KINDS["task"], head([0, 0, 0, 4.0], threshold), rows, asked)
    assert (found.truth, found.said) == ("reasoning", expected)


def test_the_confusion_is_drawn(tmp_path: Path) -> None:
    draw_confusion([*GAOKAO, *MBPP], tmp_path / "plots" / "task.png")
    assert (tmp_path / "plots" / "task.png").read_bytes().startswith(b"\x89PNG")
