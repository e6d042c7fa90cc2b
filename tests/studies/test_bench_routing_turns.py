"""Would catch rows by turn that read another conversation than they say, and pairs of languages that are none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from routing_bench import translated, turns
from routing_bench.corpus import Corpus, RowMissing, read
from routing_bench.signals import Fold, first_folds, scores
from tests.fakes import artifacts

# They learn for seconds, and a busy machine is slow.
pytestmark = pytest.mark.timeout(180)

WORDS = ("river", "treaty", "enzyme", "poem", "market", "planet", "statute")
QUESTION = "Which of the many things said about the {} of {} in the year {} is the one that is true?"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A table to learn from, and conversations of two turns: the second leans on the first, or does not."""
    folder = tmp_path_factory.mktemp("folder")
    draw = np.random.default_rng(0)
    outcomes = {"weak": (draw.random(90) < 0.5).tolist(), "strong": (draw.random(90) < 0.8).tolist()}
    texts = [QUESTION.format(WORDS[at % 7], WORDS[at % 5], at * 37) for at in range(90)]
    table = {"prompt": texts, "subject": ["a", "b", "c"] * 30, "qkey": list(map(str, range(90))), **outcomes}
    pq.write_table(pa.table(table), folder / "routellm_mmlu.parquet")
    judged = {
        "turn1": [
            f"Write about the {WORDS[at % 7]} number {at}, and say why it matters." for at in range(40)
        ],
        "turn2": ["Make it shorter." if at % 2 else f"Prove theorem {at} of Euclid." for at in range(40)],
        "weak": draw.uniform(1, 10, 40).tolist(),
        "strong": draw.uniform(5, 10, 40).tolist(),
    }
    pq.write_table(pa.table(judged), folder / "routellm_mtbench.parquet")
    return read(folder, None, quick=True)


def test_a_new_question_in_the_second_turn_is_routed_as_if_it_came_first(corpus: Corpus) -> None:
    [fold] = first_folds(corpus)
    found = turns.by_turn(fold)
    np.testing.assert_array_equal(found[turns.ANEW], found[turns.FIRST])
    rows = {row.name: row for row in turns.turns([fold])}
    assert rows[f"route flips, {turns.ANEW}"].value == 0
    assert rows[f"slice, {turns.ANEW}"].value == rows[f"slice, {turns.FIRST}"].value


def test_a_go_ahead_is_routed_by_what_it_approves(corpus: Corpus) -> None:
    [fold] = first_folds(corpus)
    found = turns.by_turn(fold)
    assert np.ptp(found[turns.APPROVED]) > 0.5 * np.ptp(found[turns.FIRST])
    assert np.corrcoef(found[turns.APPROVED], found[turns.FIRST])[0, 1] > 0.8


def test_both_turns_of_judged_conversations_are_measured(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def recorded(fold: Fold, texts: Sequence[str]) -> NDArray[np.float32]:
        asked.append(list(texts))
        return scores(fold, texts)

    monkeypatch.setattr(turns, "scores", recorded)
    rows = turns.judged_turns(corpus)
    assert [row.name for row in rows] == ["slice, MT-Bench, turn 1", "slice, MT-Bench, turn 2"]
    table = corpus.source("mtbench").table
    assert asked[0] == list(table.texts)
    assert asked[1][0] == "Prove theorem 0 of Euclid."
    assert asked[1][1] == f"{table.texts[1]}\nMake it shorter."


def test_no_tables_are_said(corpus: Corpus) -> None:
    with pytest.raises(RowMissing, match="ask twice"):
        turns.turns([])
    bare = Corpus({"mmlu": corpus.sources["mmlu"]}, two=False, quick=True)
    with pytest.raises(RowMissing, match="mtbench"):
        turns.judged_turns(bare)


def test_the_pairs_are_of_an_english_and_a_chinese_question() -> None:
    found = translated.pairs()
    assert len(found) >= 60
    assert len({text for pair in found for text in pair}) == 2 * len(found)
    for english, chinese in found:
        assert not re.search("[\u4e00-\u9fff]", english)
        assert re.search("[\u4e00-\u9fff]{2}", chinese)


def test_routes_that_turn_under_translation_are_counted() -> None:
    """Of ten pairs three go to Pro by either language; one of each three is another question."""
    english = np.array([0.1, 0.2, 0.3, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]) + np.arange(10) / 1000
    chinese = english.copy()
    chinese[[2, 3]] = chinese[[3, 2]]
    both = np.stack((english, chinese), axis=1)
    found = {
        row.name: row.value
        for row in translated.rows(translated.Judged(both, np.stack((10 * english, 10 * english), axis=1)))
    }
    assert (
        found["route flips, translation"] == found["route flips, translation, a threshold for each language"]
    )
    assert found["route flips, translation"] == pytest.approx(0.2)
    assert found["route flips, translation, complexity of 5"] == 0
    assert found["translation, r1_suffices apart"] == pytest.approx(2 * 0.501 / 10)
    assert found["translation, Spearman of complexity"] == pytest.approx(1)


def test_one_threshold_turns_what_two_do_not() -> None:
    """Whoever asks in Chinese is thought to be easier: by one threshold no Chinese question goes to Pro."""
    english = np.arange(20) / 100
    found = {
        row.name: row.value
        for row in translated.rows(
            translated.Judged(
                np.stack((english, english + 0.5), axis=1), np.stack((english, english), axis=1)
            )
        )
    }
    assert found["route flips, translation"] == pytest.approx(0.6)
    assert found["route flips, translation, a threshold for each language"] == 0


def test_an_artifact_is_asked_in_both_languages(tmp_path: Path) -> None:
    artifacts.write(tmp_path / "a")
    rows = translated.translated(tmp_path / "a")
    assert {row.more["questions"] for row in rows} == {len(translated.pairs())}
