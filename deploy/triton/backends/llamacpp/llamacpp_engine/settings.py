"""Settings of one model: its `1/model.json`, with environment variables filled in."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from .errors import SettingsError

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_Settings = TypeVar("_Settings")


@dataclass(frozen=True, slots=True)
class DraftSettings:
    """How a model thinks before it answers: it writes a draft first, then answers with the draft in view."""

    tokens: int
    """The longest draft; it never takes more than half of a request's max_tokens."""
    temperature: float
    """The draft's own temperature."""
    cue: str
    """The words with which a draft begins; they are shown as part of the reasoning."""
    turn: str
    """Ends the draft and asks for the answer, in the words of the model's chat template."""
    generation_prompt: str
    """The end of a prompt that asks for a new answer; any other prompt goes on with one and gets no draft."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What to load and how much of the machine to use."""

    weights: Path
    """The GGUF file."""
    slots: int
    """Requests that are answered at the same time; more of them wait."""
    context_tokens: int
    """Longest prompt and answer together, for each slot."""
    threads: int
    """Threads that compute. All models together must not have more than there are cores."""
    draft: DraftSettings | None = None
    """Set for a model that spends more computing time on an answer."""


def load_settings(path: Path, environment: Mapping[str, str] = os.environ) -> ModelSettings:
    """Read a model.json. Raises SettingsError when it is wrong or what it names is missing."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error
    document = _fill_in(document, path, environment)
    if isinstance(document, dict) and "draft" in document:
        document["draft"] = _build(DraftSettings, document["draft"], f"{path}: draft")
    settings = _build(ModelSettings, document, str(path))
    if not settings.weights.is_file():
        raise SettingsError(
            f"{path} names the weights {settings.weights}, which do not exist: let `tandem up` fetch and "
            "convert them, or point the variable in `weights` at a folder that holds the file"
        )
    return settings


def _fill_in(node: Any, path: Path, environment: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _fill_in(value, path, environment) for key, value in node.items()}
    if not isinstance(node, str):
        return node

    def value_of(match: re.Match[str]) -> str:
        value = environment.get(match[1])
        if not value:
            raise SettingsError(
                f"environment variable {match[1]} is not set, and {path} needs it: `tandem up` sets it; "
                "set it yourself when you start Triton yourself"
            )
        return value

    return _VARIABLE.sub(value_of, node)


def _build(kind: type[_Settings], document: Any, where: str) -> _Settings:
    if not isinstance(document, dict):
        raise SettingsError(f"{where} must be a JSON object")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # always a dataclass here
    if unknown := document.keys() - known.keys():
        raise SettingsError(f"{where} has unknown keys {sorted(unknown)}: known are {', '.join(known)}")
    required = {name for name, field in known.items() if field.default is MISSING}
    if missing := required - document.keys():
        raise SettingsError(f"{where} lacks {', '.join(sorted(missing))}")
    types = get_type_hints(kind)
    return kind(**{key: _convert(types[key], key, value, where) for key, value in document.items()})


def _convert(kind: Any, key: str, value: Any, where: str) -> Any:
    if kind not in (int, float, Path):
        return value
    try:
        converted = kind(value)
    except (TypeError, ValueError):
        raise SettingsError(f"{where}: {key} is {value!r}, which is not a number") from None
    if kind is int and converted < 1:
        raise SettingsError(f"{where}: {key} is {value!r} and must be at least 1")
    return converted
