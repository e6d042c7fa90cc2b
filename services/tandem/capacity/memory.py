"""The formula sheet: what one GPU of a replica must hold. Whole numbers only, so that Helm's templates say the same.

docs/operations/fit.md has the formulas and what each constant stands for; helm/tandem/templates/_fit.tpl has them too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tandem.capacity.shape import Shape

Precision = Literal["fp32", "bf16", "fp16", "fp8", "int8", "int4"]

BYTES_PER_128: Final[dict[str, int]] = {
    "fp32": 512,
    "bf16": 256,
    "fp16": 256,
    "fp8": 128,
    "int8": 128,
    "int4": 68,
}
"""Bytes of 128 weights. Four bits come in groups of 128 with a scale and a zero of 16 bits each: 64 + 4."""

STEP_TOKENS: Final = 8192
"""Tokens of prompts that an engine computes at a time, at most."""
MOST_TOKENS: Final = 1_000_000_000
"""Context times concurrency of a variant, at most; more is a slip of the pen."""
RUNTIME_BYTES: Final = 1_610_612_736
"""Of one engine process on one GPU: CUDA context, CUDA graphs, buffers of the communication. A choice: 1.5 GiB."""
MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Layout:
    """How a replica lies on GPUs."""

    tensor: int
    """GPUs of one node."""
    pipeline: int
    """Nodes."""

    @property
    def gpus(self) -> int:
        """GPUs of a replica."""
        return self.tensor * self.pipeline


@dataclass(frozen=True, slots=True)
class Load:
    """One variant of a tier: what is asked of it."""

    name: str
    precision: Precision
    context: int
    """Tokens of prompt and answer together."""
    concurrency: int
    """Sequences at a time."""
    on_demand: bool = False
    """Whether it is loaded only when it is needed; then there must be room for it beside all others."""

    @property
    def title(self) -> str:
        """Its name, and that it is not always loaded."""
        return f"{self.name} (on demand)" if self.on_demand else self.name


@dataclass(frozen=True, slots=True)
class Need:
    """What one GPU holds of one variant, in whole MB, each part rounded up."""

    weights: int
    kv_cache: int
    activations: int
    runtime: int

    @property
    def total(self) -> int:
        """All of it, in MB."""
        return self.weights + self.kv_cache + self.activations + self.runtime


def need(shape: Shape, load: Load, layout: Layout) -> Need:
    """Return what the fullest GPU of a replica holds of one variant."""
    return Need(
        weights=divided(_weights(shape, load.precision, layout), MB),
        kv_cache=divided(_kv_cache(shape, load, layout), MB),
        activations=divided(_activations(shape, load, layout), MB),
        runtime=divided(RUNTIME_BYTES, MB),
    )


def divided(value: int, by: int) -> int:
    """Divide and round up."""
    return (value + by - 1) // by


def _weights(shape: Shape, precision: Precision, layout: Layout) -> int:
    """Bytes of weights on the fullest GPU; the tables of tokens at both ends stay at 16 bits or more."""
    table = min(2 * shape.vocabulary * shape.hidden_size, shape.parameters)
    table_bytes = table * max(BYTES_PER_128[precision], 256) // 128
    layers = divided(shape.layers, layout.pipeline)
    matrices = (shape.parameters - table) * BYTES_PER_128[precision] * layers
    ends = 1 if layout.pipeline == 1 else 2
    stage = divided(matrices, 128 * shape.layers) + divided(table_bytes, ends)
    return divided(stage, layout.tensor)


def _kv_cache(shape: Shape, load: Load, layout: Layout) -> int:
    """Bytes of keys and values; MLA's compressed ones are whole on every GPU of a stage."""
    elements = shape.kv_rank or 2 * divided(shape.kv_heads, layout.tensor) * shape.head_size
    tokens = load.context * load.concurrency
    return elements * _element_bytes(load.precision) * divided(shape.layers, layout.pipeline) * tokens


def _activations(shape: Shape, load: Load, layout: Layout) -> int:
    """Bytes between layers while prompts are computed, and of the scores of all tokens at the end."""
    copies = 4 + divided(16, layout.tensor)
    states = STEP_TOKENS * shape.hidden_size * _element_bytes(load.precision) * copies
    return states + load.concurrency * shape.vocabulary * 4


def _element_bytes(precision: Precision) -> int:
    return 4 if precision == "fp32" else 2
