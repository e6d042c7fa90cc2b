"""Would catch nested cross-validation whose choice has seen what is measured, or that compares other questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from routing_bench import nested
from routing_bench.corpus import Corpus, read
from routing_bench.protocol import Outcome
from routing_bench.report import nested_table
from tandem.training.classifier.choosing import Choice, Known
from tandem.training.classifier.hyperparameters import OWN, Hyperparameters

SENTENCE = (
    "Which of the many things that were said about the {} of {} in the year {} is the one that is true?"
)
WORDS = ("river", "treaty", "enzyme", "poem", "market", "planet", "statute")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two tables; every question of the second is one of the first, told apart by case and by key."""
    folder = tmp_path_factory.mktemp("folder")
    texts = [SENTENCE.format(WORDS[at % 7], WORDS[at % 5], at * 37) for at in range(90)]
    for file, found, key in (
        ("routellm_mmlu.parquet", texts, "a"),
        ("routellm_gsm8k.parquet", [text.upper() for text in texts], "b"),
    ):
        draw = np.random.default_rng(len(key))
        columns = {
            "prompt": found,
            "subject": [f"subject {at % 6}" for at in range(90)],
            "qkey": [f"{key}{at}" for at in range(90)],
            "weak": (draw.random(90) < 0.5).tolist(),
            "strong": (draw.random(90) < 0.8).tolist(),
        }
        pq.write_table(pa.table(columns), folder / file)
    return read(folder, None, quick=True)


def record(monkeypatch: pytest.MonkeyPatch, chosen: Hyperparameters) -> list[set[str]]:
    """Put another choice in the place of the real one; return what each is made on, in lower case."""
    seen: list[set[str]] = []

    def choose(known: Sequence[Known]) -> Choice:
        seen.append({text.lower() for each in known for text in each.table.texts})
        return Choice(chosen, 0.5)

    monkeypatch.setattr(nested, "choose", choose)
    return seen


def test_no_choice_has_seen_what_is_measured_by_it(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = record(monkeypatch, OWN)
    rows = list(nested.Nested(corpus, lambda _: None).rows())
    by_question = [
        [
            {corpus.source(name).table.texts[row].lower() for row in asked}
            for _, asked in corpus.splits(name, groups)
        ]
        for name, groups in (("mmlu", False), ("gsm8k", False), ("mmlu", True))
    ]
    for fold, asked in enumerate(zip(*by_question[:2], strict=True)):
        assert not seen[fold] & set().union(*asked)
        assert seen[fold]
    for fold, asked_there in enumerate(by_question[2]):
        assert not seen[5 + fold] & asked_there
    assert {row.name for row in rows} >= {
        "nested, MMLU, by question",
        "nested, GSM8K, by question",
        "nested, MMLU, held-out subject",
    }


def test_the_fixed_setting_chosen_makes_no_difference(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(monkeypatch, OWN)
    row = next(nested.Nested(corpus, lambda _: None).rows())
    assert row.more["difference"] == row.more["difference_low"] == row.more["difference_high"] == 0
    assert row.more["questions"] == 90
    assert "+0.000" in nested_table([row])


def test_another_setting_is_measured_on_the_same_questions(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(monkeypatch, Hyperparameters(penalty=0.1, trust=0.0))
    row = next(nested.Nested(corpus, lambda _: None).rows())
    assert row.more["difference"] == pytest.approx(row.value - row.more["fixed"], abs=1e-3)
    assert row.more["difference_low"] < row.more["difference_high"]
    assert {setting["penalty"] for setting in row.more["chosen"]} == {0.1}


def test_the_difference_is_of_the_same_draws() -> None:
    draw = np.random.default_rng(0)
    weak, strong = (draw.random(400) < 0.5) * 1.0, (draw.random(400) < 0.8) * 1.0
    noisy = Outcome(strong - weak + draw.normal(0, 2, 400), weak, strong)
    assert nested.difference(noisy, noisy) == (0.0, 0.0)
    low, high = nested.difference(noisy.scored(strong - weak + draw.normal(0, 0.01, 400)), noisy)
    assert 0 < low < high
