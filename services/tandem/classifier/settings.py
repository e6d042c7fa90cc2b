"""Settings of the classifier service."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from tandem.serving.settings import CalleeSettings


class Settings(CalleeSettings):
    """Environment variables `TANDEM_CLASSIFIER_…`."""

    model_config = SettingsConfigDict(
        env_prefix="TANDEM_CLASSIFIER_", use_attribute_docstrings=True, extra="forbid"
    )

    listen: str = "127.0.0.1:50052"
    """Address to listen on, `HOST:PORT`. Port 0 takes a free one and logs it."""
