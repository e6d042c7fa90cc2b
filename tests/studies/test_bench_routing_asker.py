"""Would catch rows of language and asker that count undecided as right, or learn from the family that is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from routing_bench import asker_rows
from tandem.training.classifier.labelled import Labelled
from tandem.training.classifier.labels import LabelHead, Rows
from tandem.training.classifier.professional import fit_professional

# They learn for seconds, and a busy machine is slow.
pytestmark = pytest.mark.timeout(180)

LAW = "The buyer of parcel {} sued. Which holding follows under the statute of frauds?"
HEALTH = "My stomach has hurt for {} days, what can I do at home?"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Texts of a source that tells a professional, of one that tells a layman, and of one that tells neither."""
    texts = [
        *(("agieval", "jec-qa", "zh", f"第{at}条规定的合同效力如何认定？") for at in range(30)),
        *(("medquad", "", "en", HEALTH.format(at)) for at in range(30)),
        *(("bbh", "", "en", LAW.format(at)) for at in range(10)),
    ]
    columns: dict[str, list[str] | list[None]] = {
        name: [text[at] for text in texts] for at, name in enumerate(("source", "group", "lang", "text"))
    }
    columns |= {"task": ["factual"] * 70, "domain": ["legal"] * 70, "difficulty": [None] * 70}
    columns["qkey"] = list(map(str, range(70)))
    pq.write_table(pa.table(columns), tmp_path / "labels_task_domain_lang.parquet")
    return tmp_path


def test_language_and_asker_are_told_of_every_text_that_tells(folder: Path) -> None:
    rows = {
        row.name: row.value
        for row in asker_rows.asker_rows(folder, None, [("What is a bond?", "什么是债券？")])
    }
    assert rows["language"] == rows["language, zh"] == rows["language of short questions"] == 1
    assert {name for name in rows if name.startswith("professional")} == {
        "professional, source left out",
        "professional, source left out, en",
        "professional, source left out, zh",
        "professional, source left out, macro-F1",
    }


def test_a_language_not_found_is_wrong(folder: Path) -> None:
    rows = {row.name: row.value for row in asker_rows.asker_rows(folder, None, [("42", "什么是债券？")])}
    assert rows["language of short questions"] == 0.5
    assert rows["language of short questions, en"] == 0


def test_no_head_learns_from_the_family_that_it_is_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each head says `professional` of everything; so the lay family is wrong, and an unsure head is always wrong."""
    learned: list[set[str]] = []

    def fit(threshold: float) -> None:
        def fit_professional(rows: Rows, texts: list[Labelled], calibrate: bool = True) -> LabelHead:
            learned.append({text.family for text in texts})
            buckets, dense = rows.grams.shape[1], rows.standard.shape[1]
            zeros = np.zeros((buckets, 1), np.float32), np.zeros((dense, 1), np.float32)
            return LabelHead(("lay", "professional"), *zeros, np.ones(1, np.float32), 1.0, threshold)

        monkeypatch.setattr(asker_rows, "fit_professional", fit_professional)

    fit(0.6)
    rows = {row.name: row.value for row in asker_rows.asker_rows(folder, None, [("Why?", "为什么？")])}
    assert ["agieval" in families for families in learned] == [False, True]
    assert ["medquad" in families for families in learned] == [True, False]
    assert rows["professional, source left out, zh"] == 1
    assert rows["professional, source left out, en"] == 0
    fit(0.8)
    rows = {row.name: row.value for row in asker_rows.asker_rows(folder, None, [("Why?", "为什么？")])}
    assert rows["professional, source left out"] == 0


def test_of_two_folders_the_second_is_asked_and_never_learned(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has a source that the first has not, and none in Chinese."""
    other = tmp_path_factory.mktemp("other")
    text = "My knee has hurt since we moved to house {}, should I see somebody about it?"
    columns = {"source": ["toyhom_med"] * 9, "lang": ["en"] * 9, "text": [text.format(at) for at in range(9)]}
    pq.write_table(
        pa.table({**columns, "domain": ["medical"] * 9}), other / "labels_task_domain_lang.parquet"
    )
    learned: list[set[str]] = []

    def recorded(rows: Rows, texts: list[Labelled], calibrate: bool = True) -> LabelHead:
        learned.append({text.family for text in texts} - {"generated"})
        return fit_professional(rows, texts, calibrate)

    monkeypatch.setattr(asker_rows, "fit_professional", recorded)
    rows = {row.name for row in asker_rows.asker_rows(folder, other, [("Why?", "为什么？")])}
    assert learned == [{"agieval", "medquad"}]
    assert {"language, en", "professional, source left out, en"} <= rows
    assert not {"language, zh", "professional, source left out, zh"} & rows
