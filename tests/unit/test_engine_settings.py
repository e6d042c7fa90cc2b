"""Would catch: a model that loads with wrong settings, or fails to load without saying what to set right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamacpp_engine.errors import SettingsError
from llamacpp_engine.settings import ModelSettings, load_settings

MODELS = Path(__file__).parents[2] / "deploy" / "triton" / "models"
DRAFT = {"tokens": 8, "temperature": 0, "cue": "c", "turn": "t", "generation_prompt": "g"}


def written(folder: Path, **changes: Any) -> Path:
    (folder / "w.gguf").touch()
    document = {"weights": "${W}/w.gguf", "slots": 4, "context_tokens": 512, "threads": "${T}"} | changes
    path = folder / "model.json"
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
    return path


def test_variables_are_filled_in(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path), {"W": str(tmp_path), "T": "2"})
    assert settings == ModelSettings(tmp_path / "w.gguf", 4, 512, 2)


def test_a_draft_is_read(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, draft=DRAFT), {"W": str(tmp_path), "T": "2"})
    assert settings.draft is not None
    assert (settings.draft.tokens, settings.draft.turn) == (8, "t")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threads": "${MISSING}"}, "MISSING is not set"),
        ({"threads": "two"}, "threads is 'two'"),
        ({"threads": 0}, "at least 1"),
        ({"slots": None}, "lacks slots"),
        ({"slot": 1}, "unknown keys"),
        ({"weights": "/nowhere/w.gguf"}, "do not exist"),
        ({"draft": {"tokens": 8}}, "draft lacks cue"),
        ({"draft": []}, "must be a JSON object"),
    ],
)
def test_wrong_settings_are_refused_with_what_to_do(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(written(tmp_path, **changes), {"W": str(tmp_path), "T": "1"})


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_file_that_is_no_settings_file_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "model.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"model\.json"):
        load_settings(path, {})


@pytest.mark.parametrize(
    ("model", "file", "slots"), [("r1", "F16", 32), ("r1-int8", "Q8_0", 32), ("pro", "F16", 8)]
)
def test_the_models_of_the_repository_load_what_their_names_say(
    tmp_path: Path, model: str, file: str, slots: int
) -> None:
    for name in ("F16", "Q8_0"):
        (tmp_path / f"{name}.gguf").touch()
    environment = {f"TANDEM_{what}_{tier}": "1" for what in ("THREADS",) for tier in ("R1", "PRO")}
    environment |= {"TANDEM_WEIGHTS_R1": str(tmp_path), "TANDEM_WEIGHTS_PRO": str(tmp_path)}
    settings = load_settings(MODELS / model / "1" / "model.json", environment)
    assert (settings.weights.name, settings.slots, settings.threads) == (f"{file}.gguf", slots, 1)
    assert (settings.draft is not None) == (model == "pro")
