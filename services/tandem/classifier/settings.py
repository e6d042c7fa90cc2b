"""Settings of the classifier service."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic_settings import SettingsConfigDict

from tandem.serving.settings import CalleeSettings

DEFAULT_ARTIFACT: Final = Path(__file__).parent / "artifacts" / "default.safetensors"
"""The artifact that is shipped."""


class Settings(CalleeSettings):
    """Environment variables `TANDEM_CLASSIFIER_…`."""

    model_config = SettingsConfigDict(
        env_prefix="TANDEM_CLASSIFIER_", use_attribute_docstrings=True, extra="forbid"
    )

    listen: str = "127.0.0.1:50052"
    """Address to listen on, `HOST:PORT`. Port 0 takes a free one and logs it."""

    artifact: Path = DEFAULT_ARTIFACT
    """What the classifier has learned. Read again when it changes; one that is of no use is refused, and logged."""
