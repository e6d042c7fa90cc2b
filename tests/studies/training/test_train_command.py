"""Would catch a command that trains for minutes before it says that it cannot, or that ends in a traceback."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tandem.cli.app import app
from tandem.training.classifier import train
from tandem.training.classifier.labelled import LABELS_FILE

MMLU = {"prompt": ["Who?", "Why?"], "weak": [True, False], "strong": [True, True]}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that is needed; training it is a failure."""
    monkeypatch.setattr(train, "lay_out", lambda *_: pytest.fail("something is learned"))
    folder = tmp_path / "data"
    folder.mkdir()
    pq.write_table(pa.table(MMLU), folder / "routellm_mmlu.parquet")
    (folder / LABELS_FILE).touch()
    return folder


def refused(data: Path, out: Path) -> str:
    found = CliRunner().invoke(app, ["train", "classifier", "--data", str(data), "--out", str(out)])
    assert found.exit_code == 2
    assert not out.exists()
    return " ".join(found.output.split())


def test_a_folder_that_is_not_there_is_no_place_for_an_artifact(data: Path, tmp_path: Path) -> None:
    said = refused(data, tmp_path / "none" / "artifact")
    assert f"{tmp_path / 'none'} is no folder" in said
    assert "--out" in said


def test_without_labelled_texts_nothing_is_learned(data: Path, tmp_path: Path) -> None:
    (data / LABELS_FILE).unlink()
    assert f"has no {LABELS_FILE}" in refused(data, tmp_path / "artifact")


def test_without_both_models_of_a_pair_nothing_is_learned(data: Path, tmp_path: Path) -> None:
    (data / "routellm_mmlu.parquet").unlink()
    one = {"query": ["Who?"], "task_name": ["a"], "score:qwen2.5-7b-instruct": [1.0]}
    pq.write_table(pa.table(one), data / "llmrouter_9models.parquet")
    assert "both models of a pair" in refused(data, tmp_path / "artifact")


def test_a_disc_that_is_full_is_said(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "artifact"))

    monkeypatch.setattr(train, "lay_out", full)
    assert "No space left" in refused(data, tmp_path / "artifact")
