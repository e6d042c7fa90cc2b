"""What stands around Tandem in a row: how its services run, and what is put between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fault_matrix.envoy import Trouble

Mode = Literal["embedded", "separate"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How Tandem is put together for a row."""

    separate: bool = False
    """Whether the row needs every service in a process of its own, whatever was asked for."""
    envoy: Mapping[str, Trouble] = field(default_factory=dict)
    """What an Envoy does before `classifier`, `r1` and `pro` (the inference services), `triton r1` and `triton pro`."""
    valkey: bool = False
    """Whether answers are shared in a Valkey."""
    nonsense: bool = False
    """Whether the classifier is one that talks nonsense."""
