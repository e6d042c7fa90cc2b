"""The catalogue of node types: how many accelerators a node has, and how much memory each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from tandem.yaml_document import Document, Section, load

NODES_FILE: Final = Path(__file__).with_name("nodes.yaml")


class Node(Section):
    """A type of node."""

    model_config = ConfigDict(alias_generator=to_camel)

    accelerator: str
    """What computes in it."""
    accelerators: int = Field(ge=1, le=64)
    """How many of them it has."""
    stated_gb: int = Field(alias="statedGB", ge=1)
    """Memory of one accelerator as the vendor states it, in GB."""
    memory_bytes: int = Field(ge=1)
    """Memory of one accelerator as the driver reports it; as stated where no report was found."""
    usable_percent: int = Field(ge=1, le=100)
    """Part of it that weights, caches and engines may take."""
    unified: bool
    """Whether the operating system and all other processes live in the same memory."""
    source: str
    """Who says how many accelerators it has and of which kind."""
    memory_source: str
    """Who reports the memory."""

    @property
    def usable_mb(self) -> int:
        """Whole MB of an accelerator's memory that may be used, 1 MB = 1,000,000 bytes."""
        return self.memory_bytes * self.usable_percent // 100 // 1_000_000


class NodeCatalogue(Document):
    """All node types that Tandem knows."""

    version: Literal[1]
    """Version of this format: 1."""
    nodes: Mapping[str, Node]
    """The node types by name."""


@cache
def load_nodes() -> NodeCatalogue:
    """Read the catalogue that ships with Tandem, once."""
    return load(NODES_FILE, NodeCatalogue)
