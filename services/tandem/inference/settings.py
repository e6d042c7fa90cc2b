"""Settings of the inference service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from tandem.deployment import deploy_folder
from tandem.serving.settings import CalleeSettings


class Settings(CalleeSettings):
    """Environment variables `TANDEM_INFERENCE_…`."""

    model_config = SettingsConfigDict(
        env_prefix="TANDEM_INFERENCE_", use_attribute_docstrings=True, extra="forbid"
    )

    listen: str = "127.0.0.1:50053"
    """Address to listen on, `HOST:PORT`. Port 0 takes a free one and logs it."""

    tier: str
    """Name of the catalogue's tier that this process serves."""

    triton: str = "127.0.0.1:8001"
    """Triton's gRPC address, `HOST:PORT`; of several, a name of all, or `ipv4:HOST:PORT,HOST:PORT`; each counts."""

    catalogue: Path = Field(default_factory=lambda: deploy_folder() / "catalogue.yaml")
    """The model catalogue; read again when it changes."""
