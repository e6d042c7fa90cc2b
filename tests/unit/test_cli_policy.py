"""Would catch an OK for a bad policy, a wrong exit status, or output that a script cannot read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tandem.catalogue import load_catalogue
from tandem.cli.policy import app
from tandem.orchestrator.policy import load_policy

DEPLOY = Path(__file__).parents[2] / "deploy"
CATALOGUE = DEPLOY / "catalogue.yaml"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    text = (DEPLOY / "policy.yaml").read_text()
    file.write_text(
        text.replace("creative: 0.8", "creative: 3").replace("max_attempts: 2", "max_attempts: no")
    )
    return file


def line_of(file: Path, start: str) -> int:
    return next(
        n for n, line in enumerate(file.read_text().splitlines(), 1) if line.lstrip().startswith(start)
    )


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def test_a_good_policy() -> None:
    result = check(DEPLOY / "policy.yaml")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"OK {DEPLOY / 'policy.yaml'}: strategy route; ")
    assert result.stdout.count("\n") == 1


def test_rules_are_counted() -> None:
    result = check(DEPLOY / "workflows" / "medical_triage.yaml", "--catalogue", CATALOGUE)
    assert "; 2 rules; " in result.stdout


def test_a_bad_policy(bad: Path) -> None:
    result = check(bad, "--catalogue", CATALOGUE)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{bad}:{line_of(bad, 'creative')}:5: sampling.temperature.creative: must be at most 2 (got 3)",
        f'{bad}:{line_of(bad, "max_attempts")}:1: max_attempts: must be a whole number (got "no")',
    ]


def test_a_bad_catalogue_is_reported_as_such(tmp_path: Path) -> None:
    broken = tmp_path / "models.yaml"
    broken.write_text("version: 1\n")
    result = check(DEPLOY / "policy.yaml", "--catalogue", broken)
    assert result.exit_code == 1
    assert f"{broken}:1:1: tiers: is missing" in result.stdout.splitlines()


def test_json_of_a_good_policy() -> None:
    result = check(DEPLOY / "policy.yaml", "--catalogue", CATALOGUE, "--json")
    catalogue = load_catalogue(CATALOGUE)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "ok": True,
        "file": str(DEPLOY / "policy.yaml"),
        "problems": [],
        "revision": load_policy(DEPLOY / "policy.yaml", catalogue).revision,
        "catalogue_revision": catalogue.revision,
    }


def test_json_of_a_bad_policy(bad: Path) -> None:
    result = check(bad, "--catalogue", CATALOGUE, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (found["ok"], found["file"], len(found["problems"])) == (False, str(bad), 2)
    assert found["problems"][0] == {
        "line": line_of(bad, "creative"),
        "column": 5,
        "path": "sampling.temperature.creative",
        "message": "must be at most 2 (got 3)",
    }


def test_files_that_cannot_be_read(tmp_path: Path, bad: Path) -> None:
    absent = tmp_path / "absent.yaml"
    assert check(absent).exit_code == 2
    beside = check(bad)
    assert beside.exit_code == 2
    assert f"cannot read {tmp_path / 'catalogue.yaml'}: No such file" in beside.stderr
    assert beside.stdout == ""


def test_usage() -> None:
    assert check().exit_code == 2
    assert check(DEPLOY / "policy.yaml", "--colour").exit_code == 2
