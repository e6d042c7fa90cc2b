"""Would catch a `tandem fetch` whose failures are tracebacks, or whose paths a script cannot read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tandem.cli.app import app
from tandem.embedded import environment, weights
from tandem.embedded.environment import TritonEnvironment
from tandem.embedded.errors import EmbeddedError
from tandem.embedded.host import Host


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TANDEM_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_a_machine_that_cannot_run_triton_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "this_host", lambda: Host("darwin", "arm64", None))
    result = CliRunner().invoke(app, ["fetch"])
    assert result.exit_code == 1
    assert result.stderr.startswith("tandem fetch: The embedded Triton runs on Linux, this is darwin.")
    assert result.stdout == ""


def test_prints_the_paths_as_json(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(environment, "prepare", lambda cache, progress: TritonEnvironment(cache / "triton"))
    monkeypatch.setattr(
        weights, "prepare_weights", lambda source, cache, progress: cache / "weights" / source
    )
    result = CliRunner().invoke(app, ["fetch", "--json", "--model", "smollm2", "--model", "other.gguf"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "cache": str(cache),
        "triton": str(cache / "triton"),
        "weights": {
            "smollm2": str(cache / "weights" / "smollm2"),
            "other.gguf": str(cache / "weights" / "other.gguf"),
        },
    }


def test_weights_that_cannot_be_had_end_it_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, cache: Path, progress: object) -> Path:
        raise EmbeddedError(f"{source} is damaged")

    monkeypatch.setattr(environment, "prepare", lambda cache, progress: TritonEnvironment(cache / "triton"))
    monkeypatch.setattr(weights, "prepare_weights", refuse)
    result = CliRunner().invoke(app, ["fetch"])
    assert (result.exit_code, result.stderr) == (1, "tandem fetch: smollm2 is damaged\n")


def test_only_triton_fetches_no_weights(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(environment, "prepare", lambda cache, progress: TritonEnvironment(cache / "triton"))
    monkeypatch.setattr(weights, "prepare_weights", lambda *_: pytest.fail("weights were not wanted"))
    result = CliRunner().invoke(app, ["fetch", "--only-triton", "--json"])
    assert json.loads(result.stdout)["weights"] == {}
