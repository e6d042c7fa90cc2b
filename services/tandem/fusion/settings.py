"""Settings of the fusion service; the embedded system reads `reliability` and `artifact`, too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from tandem.serving.settings import CalleeSettings


class Settings(CalleeSettings):
    """Environment variables `TANDEM_FUSION_…`."""

    model_config = SettingsConfigDict(
        env_prefix="TANDEM_FUSION_", use_attribute_docstrings=True, extra="forbid"
    )

    listen: str = "127.0.0.1:50055"
    """Address to listen on, `HOST:PORT`. Port 0 takes a free one and logs it."""

    reliability: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(default={})
    """Probability that a tier's answer is right, by tier, as a JSON object. A tier that is absent counts 0.6."""

    artifact: Path | None = None
    """What `tandem train fusion` has written; read again when it changes. Without one, `reliability` is all that is
    known."""
