"""Would catch questions that are learned from and measured on, and near-duplicates that slip into another fold."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.training.classifier.data import PAIRS, load_tables
from tandem.training.classifier.duplicates import clusters
from tandem.training.classifier.folds import numbered, splits

DATA = Path(os.environ.get("TANDEM_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
QUESTION = (
    "A train leaves the station at nine and travels eighty miles before noon; how fast was it on average"
)
CHINESE = "行为人的下列行为构成犯罪的有甲知道城建局长吸毒以提供海洛因为条件请其关照工程招标"


def test_near_duplicates_share_a_cluster() -> None:
    texts = [
        QUESTION,
        f"Please: {QUESTION.upper()}?!",
        "What is the capital of Italy",
        CHINESE,
        f"{CHINESE}。谢谢",
    ]
    found = clusters(texts, list("abcde"))
    assert found[0] == found[1]
    assert found[3] == found[4]
    assert len(set(found)) == 3


def test_one_key_is_one_cluster() -> None:
    assert len(set(clusters(["one thing", "another thing"], ["k", "k"]))) == 1


def test_boilerplate_makes_no_duplicates() -> None:
    texts = [f"{QUESTION} number {'abcdefghij'[at % 10] * (at + 3)}" for at in range(60)]
    assert len(set(clusters(texts, list(map(str, range(60)))))) > 30


@given(st.lists(st.integers(0, 20), min_size=5, max_size=60), st.integers(0, 5))
def test_no_label_is_on_both_sides(drawn: list[int], seed: int) -> None:
    found = np.array(drawn)
    for learned, asked in splits(numbered(found, seed)):
        assert not set(found[learned]) & set(found[asked])


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded answers in {DATA}; set TANDEM_DATA")
def test_recorded_questions_do_not_leak_between_folds() -> None:
    """By a comparison of its own: the same letters and ideographs, whatever stands between them."""
    tables = load_tables(DATA, print)
    for name in ("gsm8k", "zeroeval"):
        table = tables[name]
        assert name in PAIRS
        bare = ["".join(filter(str.isalnum, text.lower())) for text in table.texts]
        for learned, asked in splits(numbered(clusters(table.texts, table.keys))):
            assert not {bare[row] for row in learned} & {bare[row] for row in asked}
            assert not {table.keys[row] for row in learned} & {table.keys[row] for row in asked}
