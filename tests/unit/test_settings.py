"""Would catch a setting without documentation or with a wrong one, and a message without a way out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from tandem.cli.settings import settings_class, variable
from tandem.telemetry.settings import TracingSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"
SERVICES = ("orchestrator", "classifier", "inference", "fusion")


@pytest.mark.parametrize(
    "cls", [*map(settings_class, SERVICES), TracingSettings], ids=lambda cls: cls.__module__
)
def test_every_setting_is_documented_with_its_meaning(cls: type[BaseSettings]) -> None:
    rows = DOCUMENT.read_text(encoding="utf-8").splitlines()
    for name, field in cls.model_fields.items():
        row = next(row for row in rows if row.startswith(f"| `{variable(cls, name)}` |"))
        assert field.description
        assert row.endswith(f"| {field.description.replace(chr(10), ' ')} |")


def test_the_documentation_names_no_setting_that_is_gone() -> None:
    classes: list[type[BaseSettings]] = [*map(settings_class, SERVICES), TracingSettings]
    known = {variable(cls, name) for cls in classes for name in cls.model_fields}
    prefixes = ("| `TANDEM_", "| `OTEL_")
    rows = [row for row in DOCUMENT.read_text(encoding="utf-8").splitlines() if row.startswith(prefixes)]
    assert {row.split("`")[1] for row in rows} == known


@pytest.mark.parametrize(
    ("service", "name", "value", "said"),
    [
        ("classifier", "TANDEM_CLASSIFIER_DRAIN_SECONDS", "soon", "TANDEM_CLASSIFIER_DRAIN_SECONDS: "),
        ("fusion", "OTEL_TRACES_SAMPLER", "sometimes", "OTEL_TRACES_SAMPLER: Input should be 'always_on'"),
        ("fusion", "TANDEM_FUSION_LOG_FORMAT", "xml", "'json' or 'console'"),
        (
            "orchestrator",
            "TANDEM_ORCHESTRATOR_API_KEYS",
            '{"shop": "tdm_secret"}',
            "_API_KEYS: Value error, must be",
        ),
        ("orchestrator", "TANDEM_ORCHESTRATOR_CACHE_URL", "redis://:s3cret@h:port", "must be redis://HOST"),
        ("inference", "TANDEM_INFERENCE_LISTEN", "127.0.0.1:0", "TANDEM_INFERENCE_TIER: Field required"),
    ],
)
def test_a_wrong_setting_ends_the_start_and_is_named(service: str, name: str, value: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tandem.cli", "serve", service],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "secret" not in done.stderr
    assert "s3cret" not in done.stderr
    assert f"tandem serve {service} --settings" in done.stderr


@pytest.mark.parametrize("command", [("serve", "classifier"), ("up", "--ledger", "none")])
def test_an_artifact_that_is_not_there_ends_the_start_at_once(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tandem.cli", *command],
        env={**os.environ, "TANDEM_CLASSIFIER_ARTIFACT": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == (2 if "serve" in command else 1)
    assert "/nowhere: it cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("serve", "orchestrator"), ("up", "--ledger", "sqlite:///:memory:")])
def test_a_ledger_that_cannot_be_opened_ends_the_start_at_once(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tandem.cli", *command],
        env={**os.environ, "TANDEM_ORCHESTRATOR_LEDGER": "sqlite:///:memory:"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "names no file, so nothing would last" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_ORCHESTRATOR_CACHE_URL", "rediss://:s3cret@h")
    assert "s3cret" not in repr(settings_class("orchestrator")())
    monkeypatch.setenv("TANDEM_ORCHESTRATOR_CACHE_URL", "http://:s3cret@h")
    with pytest.raises(ValueError, match="must be redis://") as caught:
        settings_class("orchestrator")()
    assert "s3cret" not in str(caught.value)
