"""Would catch a setting without documentation or with a wrong one, and a password that is shown."""

from __future__ import annotations

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


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_ORCHESTRATOR_CACHE_URL", "rediss://:s3cret@h")
    assert "s3cret" not in repr(settings_class("orchestrator")())
    monkeypatch.setenv("TANDEM_ORCHESTRATOR_CACHE_URL", "http://:s3cret@h")
    with pytest.raises(ValueError, match="must be redis://") as caught:
        settings_class("orchestrator")()
    assert "s3cret" not in str(caught.value)
