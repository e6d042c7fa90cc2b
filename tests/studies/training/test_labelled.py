"""Would catch sources that lose their labels, leave their family, or drown the others."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandem.training.classifier.labelled import (
    GENERATED,
    MEASURED_ONLY,
    MOST_OF_SOURCE,
    Labelled,
    as_recorded,
    hand_labels,
    labelled_texts,
)
from tandem.training.classifier.professional import LAY, PROFESSIONAL, asker


def row(text: str, source: str, task: str | None, **more: str | None) -> dict[str, str | None]:
    known: dict[str, str | None] = {
        "text": text,
        "lang": "en",
        "task": task,
        "domain": "general",
        "source": source,
        "group": "",
        "qkey": text,
    }
    return {**known, **more}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Labelled]:
    folder = tmp_path_factory.mktemp("labelled")
    key = next(iter(hand_labels()["ifeval"]))
    rows = [
        row("sum", "gsm8k_train", "reasoning"),
        row("cell", "gaokao", "factual", group="2010-2022_Biology_MCQs", lang="zh"),
        row("play", "awesome_zh:prompts-zh.json", "creative", lang="zh"),
        row("poem", "ifeval", None, qkey=key),
        row("unknown", "ifeval", None, domain=None),
        row("abstract", "pubmedqa", None, domain="medical"),
        *(row(f"riddle {number}", "bbh", "reasoning") for number in range(MOST_OF_SOURCE + 20)),
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "labels_task_domain_lang.parquet")
    arena = [{"dataset": "PubMedQA", "question": "Please read. Context: a trial Provide the correct letter"}]
    pq.write_table(pa.Table.from_pylist(arena), folder / "routerarena_2models.parquet")
    return {text.text: text for text in labelled_texts(folder) if text.family != GENERATED}


def test_calculation_is_learned_as_mathematics_and_recorded_as_reasoning(read: dict[str, Labelled]) -> None:
    assert (read["sum"].task, read["sum"].family) == ("mathematics", "gsm8k")
    assert as_recorded("mathematics") == "reasoning"


def test_a_science_group_is_learned_as_science_and_recorded_as_general(read: dict[str, Labelled]) -> None:
    assert read["cell"].domain == "science"
    assert as_recorded("science") == "general"
    assert as_recorded("legal") == "legal"


def test_two_files_of_one_making_are_one_source(read: dict[str, Labelled]) -> None:
    assert read["play"].source == read["play"].family == "awesome_zh"


def test_a_label_given_by_hand_is_used_and_no_label_means_left_out(read: dict[str, Labelled]) -> None:
    assert read["poem"].task in set(hand_labels()["ifeval"].values())
    assert "unknown" not in read
    assert (read["abstract"].task, read["abstract"].domain) == (None, "medical")


def test_a_source_has_at_most_so_many_texts(read: dict[str, Labelled]) -> None:
    assert sum(text.source == "bbh" for text in read.values()) == MOST_OF_SOURCE


def test_instructions_around_a_question_are_cut_off(read: dict[str, Labelled]) -> None:
    assert read["Context: a trial "].domain == "medical"


def test_texts_measured_only_have_labels_by_hand() -> None:
    assert set(MEASURED_ONLY) <= set(hand_labels())


def test_who_asks_is_told_by_source_and_group(read: dict[str, Labelled]) -> None:
    assert asker(read["Context: a trial "]) == PROFESSIONAL
    assert asker(read["sum"]) == LAY
    assert asker(read["cell"]) is None
