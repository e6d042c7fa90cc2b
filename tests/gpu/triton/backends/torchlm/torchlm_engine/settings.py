"""Settings of one model: its `1/model.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Settings:
    """How large a model is, and how it holds its cache."""

    heads: int
    """Attention heads of 128 values. A token in the cache takes `512 x heads` bytes."""
    weights: str
    """`bf16` or `int8`."""
    page_tokens: int
    """Tokens in a page of the cache; the cache grows by pages."""
    resident: bool
    """Whether the cache of all slots is allocated when the model is loaded, so that answering needs no memory."""
    slots: int
    """Requests that are answered at the same time; more of them wait."""
    context_tokens: int
    """Longest prompt and answer together."""
    pace_ms: float
    """Least time between two tokens of an answer: the pace of a model of the size that this one stands for."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a model.json."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
