"""The shape of a model: what its memory is computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from tandem.yaml_document import Complaint, Document, Section, load

MODELS_FILE: Final = Path(__file__).with_name("models.yaml")

# The bounds, and MOST_TOKENS of a variant, keep every product of the formulas below 2^63, as far as Helm counts.
Count = Field(ge=1, le=10**13)
Layers = Field(ge=1, le=1000)
Size = Field(ge=1, le=10**7)
HeadCount = Field(default=0, ge=0, le=1024)
Rank = Field(default=0, ge=0, le=10**4)


class Shape(Section):
    """Numbers of a transformer, named as under `tiers.NAME.model.shape` of the chart's values."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    parameters: int = Count
    """All weights, also those of experts that a token does not use."""
    layers: int = Layers
    """Layers with a cache."""
    hidden_size: int = Size
    """Elements of the hidden state."""
    heads: int = Size
    """Attention heads; tensor parallelism must divide them."""
    kv_heads: int = HeadCount
    """Heads of keys and values (GQA); as many as `heads` without GQA. Not used with `kvRank`."""
    head_size: int = HeadCount
    """Elements of one head. Not used with `kvRank`."""
    kv_rank: int = Rank
    """MLA: elements kept per token and layer, kv_lora_rank + qk_rope_head_dim. 0: no MLA."""
    vocabulary: int = Size
    """Tokens that the model knows."""
    active_parameters: int = Field(default=0, ge=0, le=10**13)
    """Mixture of experts: weights that one token uses. For people: all weights are in memory."""

    def problem(self) -> str:
        """Say what is missing; empty: nothing."""
        if not self.kv_rank and not (self.kv_heads and self.head_size):
            return "needs kvHeads and headSize, or kvRank for MLA"
        return ""


class KnownModel(Section):
    """A model whose shape ships with Tandem."""

    source: str
    """Where its numbers are from."""
    shape: Shape
    """Its numbers."""


class KnownModels(Document):
    """The models whose shapes ship with Tandem."""

    version: Literal[1]
    """Version of this format: 1."""
    models: Mapping[str, KnownModel]
    """The models by name."""


@cache
def load_models() -> KnownModels:
    """Read the shapes that ship with Tandem, once."""
    return load(MODELS_FILE, KnownModels, _check)


def _check(known: KnownModels) -> Iterator[Complaint]:
    for name, model in known.models.items():
        if model.shape.problem():
            yield Complaint(("models", name, "shape"), model.shape.problem())
