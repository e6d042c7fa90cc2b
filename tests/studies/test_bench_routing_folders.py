"""Would catch a bench that ends, or says what it did not measure, where folders lack tables, columns or sources."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import routing
from routing_bench import label_rows, plots, shipped, signals
from routing_bench.corpus import Corpus, RowMissing, read
from routing_bench.gains import FOREIGN, Rows, cross, foreign, make
from routing_bench.held_share import held_share
from routing_bench.protocol import Outcome, interval
from routing_bench.row import Row
from tandem.training.classifier.data import DataMissing, load_tables
from tandem.training.classifier.labelled import GENERATED, LABELS_FILE, Labelled
from tandem.training.classifier.labels import Kind, LabelHead
from tandem.training.classifier.labels import Rows as LabelRows
from tests.fakes import artifacts

# They learn for seconds, and a busy machine is slow.
pytestmark = pytest.mark.timeout(180)

MMLU = "routellm_mmlu.parquet"
LLMROUTER = "llmrouter_9models.parquet"
QWEN, NEMOTRON = "score:qwen2.5-7b-instruct", "score:llama-3.1-nemotron-51b-instruct"


def texts(count: int, start: int = 0) -> list[str]:
    """Questions without a word in common."""
    letters = str.maketrans("0123456789", "bdfgklmnpr")
    words = [str(number).translate(letters) for number in range(10 * start, 10 * (start + count))]
    return [" ".join(words[at : at + 10]) + "?" for at in range(0, len(words), 10)]


def write(folder: Path, file: str, **columns: Any) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / file)


def right(count: int, part: float) -> list[bool]:
    found: list[bool] = (np.random.default_rng(count).random(count) < part).tolist()
    return found


def mmlu(folder: Path, count: int = 60, start: int = 0, **more: list[Any]) -> None:
    columns = {"prompt": texts(count, start), "weak": right(count, 0.5), "strong": right(count + 1, 0.8)[1:]}
    write(folder, MMLU, **columns, **more)


def llmrouter(folder: Path, **models: list[float]) -> None:
    write(folder, LLMROUTER, query=texts(60, 500), task_name=["a", "b"] * 30, **models)


def wanted(corpus: Corpus, name: str) -> Row:
    return make(next(each for each in Rows(corpus).wanted() if each.name == name), corpus)


def test_rows_that_have_no_key_are_other_questions_in_the_other_folder(tmp_path: Path) -> None:
    mmlu(tmp_path / "train")
    mmlu(tmp_path / "test", start=200)
    [(learned, asked)] = read(tmp_path / "train", tmp_path / "test", quick=True).splits("mmlu")
    assert (len(learned), len(asked)) == (60, 60)


def test_without_subjects_none_is_held_out(tmp_path: Path) -> None:
    mmlu(tmp_path / "train", subject=["a", "b"] * 30)
    mmlu(tmp_path / "test", start=200)
    corpus = read(tmp_path / "train", tmp_path / "test", quick=True)
    assert wanted(corpus, "MMLU, by question").more["questions"] == 60
    with pytest.raises(RowMissing, match="measure on"):
        wanted(corpus, "MMLU, held-out subject")
    with pytest.raises(RowMissing, match="one group"):
        list(read(tmp_path / "test", None, quick=True).splits("mmlu", groups=True))


def test_a_table_that_is_in_one_folder_only_costs_its_own_rows(tmp_path: Path) -> None:
    mmlu(tmp_path / "train")
    llmrouter(tmp_path / "train", **{QWEN: [0.0, 1.0] * 30, NEMOTRON: [1.0] * 60})
    mmlu(tmp_path / "test", start=200)
    corpus = read(tmp_path / "train", tmp_path / "test", quick=True)
    assert len(signals.first_folds(corpus)) == 1
    with pytest.raises(RowMissing, match="nothing of llmrouter to measure on"):
        wanted(corpus, "LLMRouter, nothing of it learned")


def test_a_table_without_a_model_of_the_pair_teaches_nothing_and_stops_nothing(tmp_path: Path) -> None:
    mmlu(tmp_path)
    llmrouter(tmp_path, **{QWEN: [0.0, 1.0] * 30})
    judged = {"weak": [3.0, 8.0] * 20, "strong": [9.0, 7.0] * 20}
    write(tmp_path, "routellm_mtbench.parquet", turn1=texts(40, 300), turn2=["Why?", None] * 20, **judged)
    corpus = read(tmp_path, None, quick=True)
    assert list(foreign(corpus, FOREIGN, "mtbench")) == ["mmlu"]
    assert len(corpus.measured("mtbench")) == 40
    assert corpus.source("mtbench").table.second[1] == ""
    artifacts.write(tmp_path / "artifact")
    assert [row.name for row in shipped.shipped(corpus, tmp_path / "artifact", tmp_path)] == [
        "shipped artifact, mmlu (may be learned)"
    ]


def test_an_artifact_is_asked_for_all_that_is_gated(tmp_path: Path) -> None:
    """The hard question is a proof, which is recorded as reasoning; of the two medical ones it takes one for legal."""
    letters = {f"pred:{at}": ["A", "B"] * 30 for at in range(8)}
    proof, drug = (
        "Prove by induction that the theorem holds.",
        "Which dose of the drug should a patient take?",
    )
    asked = ["Translate the sentence into French.", proof] * 30
    write(
        tmp_path, "lexeval_zh_38models.parquet", question=asked, task=["1_1"] * 60, gold=["A"] * 60, **letters
    )
    known = {
        "text": [proof, drug, "Is the contract void under the statute?"],
        "task": ["reasoning", None, None],
        "domain": [None, "medical", "medical"],
    }
    write(tmp_path, LABELS_FILE, **known, source=["bbh"] * 3, lang=["en"] * 3)
    artifacts.write(tmp_path / "artifact")
    rows = shipped.shipped(read(tmp_path, None, quick=True), tmp_path / "artifact", tmp_path)
    found = {row.name: row.value for row in rows}
    assert found == {
        "shipped artifact, complexity, LexEval-zh (may be learned)": pytest.approx(1),
        "shipped artifact, task (may be learned)": 1,
        "shipped artifact, domain (may be learned)": 0.5,
    }


def test_what_a_folder_lacks_is_told(tmp_path: Path) -> None:
    mmlu(tmp_path)
    write(tmp_path, LLMROUTER, task_name=["a"] * 3)
    write(tmp_path, "routellm_gsm8k.parquet", prompt=texts(3), weak=right(3, 0.5))
    write(tmp_path, "zeroeval_questions.parquet", dataset=["gsm"], id=["1"], question=["How many?"])
    write(tmp_path, "routellm_mtbench.parquet", turn1=pa.array([], pa.string()), weak=[], strong=[])
    said: list[str] = []
    assert list(load_tables(tmp_path, said.append)) == ["mmlu"]
    assert [
        next((word for word in ("query", "strong", "zeroeval_preds", "no rows") if word in line), line)
        for line in said
    ] == ["strong", "no rows", "zeroeval_preds", "query"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / MMLU).write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(DataMissing, match=MMLU):
        load_tables(tmp_path, print)


def test_models_that_are_too_few_do_not_tell_how_hard_a_question_is(tmp_path: Path) -> None:
    letters = {"pred:Chatglm3_6B": ["A"] * 60, "pred:gpt4": ["A", "B"] * 30}
    write(
        tmp_path,
        "lexeval_zh_38models.parquet",
        question=texts(60),
        task=["1_1"] * 60,
        gold=["A"] * 60,
        **letters,
    )
    with pytest.raises(RowMissing, match="2 models"):
        signals.complexity(read(tmp_path, None, quick=True), "lexeval")


def test_the_share_is_held_on_traffic_of_a_folder_that_has_all_of_it(tmp_path: Path) -> None:
    mmlu(tmp_path / "a")
    with pytest.raises(RowMissing, match=r"routellm_gsm8k.*routellm_mmlu"):
        held_share([tmp_path / "a", tmp_path / "b"], quick=True)


def test_calibration_is_learned_from_the_first_folder_alone(tmp_path: Path) -> None:
    """Half is right in the first, nothing in the second: who has not seen the second claims a half of it."""
    mmlu(tmp_path / "train")
    none = {"prompt": texts(60, 200), "weak": [False] * 60, "strong": [True] * 60}
    write(tmp_path / "test", MMLU, **none)
    corpus = read(tmp_path / "train", tmp_path / "test", quick=True)
    known = signals.known_scores(corpus, "mmlu")
    assert known is not None
    assert not corpus.source("mmlu").tested[known.places].any()
    assert len(known.places) == len(set(known.places.tolist())) == 60
    claimed, truth = signals.suffices(cross(corpus, "mmlu"), known)
    assert truth.sum() == 0
    assert claimed.mean() == pytest.approx(np.mean(right(60, 0.5)), abs=0.15)
    assert signals.known_scores(read(tmp_path / "train", None, quick=True), "mmlu") is None


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    plots.draw(tmp_path / "plots", {}, [Row("a", 0.5, 0.4, 0.6)])
    assert list((tmp_path / "plots").iterdir()) == []
    plots.draw(tmp_path / "plots", {}, [Row("mmlu, 50 labels", 0.5, 0.4, 0.6)])
    assert [file.name for file in (tmp_path / "plots").iterdir()] == ["routing_labels.png"]


def test_without_a_gap_there_is_nothing_to_recover() -> None:
    same = np.ones(20)
    assert all(map(math.isnan, interval([Outcome(np.arange(20.0), same, same)])))
    found = Row("a", math.nan, math.nan, math.nan, bar=0.5, more={"exact": math.nan}).as_object()
    assert json.loads(json.dumps(found, allow_nan=False))["value"] is None


@pytest.mark.parametrize("option", ["--artifact", "--gate", "--test"])
def test_what_cannot_be_used_is_said_before_anything_is_measured(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mmlu(tmp_path / "train")
    assert routing.main(["--train", str(tmp_path / "train"), option, str(tmp_path / "none")]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err


def labels(folder: Path, **sources: tuple[str | None, str]) -> None:
    rows = [
        {"text": f"{text} {at}", "source": source, "task": task, "domain": domain, "lang": None}
        for source, (task, domain) in sources.items()
        for at, text in enumerate(texts(12, 1000 * len(source)))
    ]
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / LABELS_FILE)


def test_only_sources_that_were_never_learned_are_in_the_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A family that both folders have is left out when it is asked; its sources do not count beside new ones."""
    labels(tmp_path / "train", bbh=("reasoning", "general"), mbpp=("code", "general"))
    arena = {"dataset": ["PubMedQA"], "question": ["Is it? " + texts(1, 9)[0]]}
    write(tmp_path / "train", "routerarena_2models.parquet", **arena)
    labels(
        tmp_path / "test",
        bbh=("reasoning", "general"),
        belle_new=("creative", "general"),
        pubmedqa=(None, "medical"),
    )
    learned: list[set[str]] = []

    def fit_kind(kind: Kind, rows: LabelRows, given: list[Labelled], calibrate: bool = True) -> LabelHead:
        learned.append({text.family for text in given} - {GENERATED})
        shapes = (rows.grams.shape[1], len(kind.labels)), (rows.standard.shape[1], len(kind.labels))
        empty = [np.zeros(shape, np.float32) for shape in shapes]
        return LabelHead(kind.labels, empty[0], empty[1], np.zeros(len(kind.labels), np.float32), 1.0, 0.0)

    monkeypatch.setattr(label_rows, "fit_kind", fit_kind)
    found = label_rows.learned_elsewhere(tmp_path / "train", tmp_path / "test")
    assert learned == [
        {"mbpp", "pubmedqa"},
        {"bbh", "mbpp", "pubmedqa"},
        {"mbpp", "pubmedqa"},
        {"bbh", "mbpp"},
        {"bbh", "mbpp", "pubmedqa"},
    ]
    rows = {row.name: row for row in label_rows.label_rows(found)}
    assert rows["task, source left out"].more["sources"] == ["belle_new"]
    assert rows["domain, source left out"].more["sources"] == ["belle_new", "pubmedqa"]
    assert {"task of bbh", "domain of pubmedqa"} <= rows.keys()
    assert "task of pubmedqa" not in rows


def test_a_second_folder_may_have_labelled_texts_alone(tmp_path: Path) -> None:
    mmlu(tmp_path / "train")
    labels(tmp_path / "test", mbpp=("code", "general"))
    corpus = read(tmp_path / "train", tmp_path / "test", quick=True)
    with pytest.raises(RowMissing):
        list(corpus.splits("mmlu"))
