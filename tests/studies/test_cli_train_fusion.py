"""Would catch an artifact that the service cannot read, and data that are missing without a word on what to do."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from tandem.cli.app import app
from tandem.fusion.artifact import load_artifact
from tests.fakes.recorded import write_choices


def test_what_is_learned_is_written_for_the_service(tmp_path: Path) -> None:
    write_choices(tmp_path, 240, (0.7, 0.65, 0.6, 0.55))
    out = tmp_path / "fusion.json"
    result = CliRunner().invoke(app, ["train", "fusion", "--data", str(tmp_path), "--out", str(out)])
    assert result.exit_code == 0, result.output
    artifact = load_artifact(out)
    assert artifact.revision in result.output
    assert [panel.name for panel in artifact.panels] == ["mmlupro, top 2", "mmlupro, top 3", "mmlupro, all"]
    assert set(artifact.voices) == {f"model {at}" for at in range(4)}
    assert "category law" in artifact.voices["model 0"].contexts


def test_a_folder_without_answers_is_refused(tmp_path: Path) -> None:
    arguments = ["train", "fusion", "--data", str(tmp_path), "--out", str(tmp_path / "fusion.json")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "mmlupro_29models.parquet" in result.output
