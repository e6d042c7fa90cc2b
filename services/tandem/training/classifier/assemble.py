"""Puts columns that were learned apart into the weights that the classifier reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features import SURFACE_NAMES
from tandem.classifier.weights import Weights, in_bytes
from tandem.training.classifier.design import LIMIT, SPEC, WAVES, Design, straight_scales
from tandem.training.classifier.routing import Linear

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of weights, by name.

    Those of buckets, of standardised dense numbers and of waves have the shape [rows, names], the bias [names].

    Raises:
        ValueError: an array has another number of columns than there are names.
    """

    names: tuple[str, ...]
    buckets: Floats
    dense: Floats
    waves: Floats
    bias: Floats

    def __post_init__(self) -> None:
        widths = {part.shape[-1] for part in (self.buckets, self.dense, self.waves, self.bias)}
        if widths != {len(self.names)}:
            raise ValueError(f"There are {len(self.names)} names for arrays with {sorted(widths)} columns.")


def columns_of(names: tuple[str, ...], heads: Linear, design: Design) -> Columns:
    """Return heads over the rows of a design as columns of the artifact."""
    buckets, waves, straight = np.split(heads.weights, (SPEC.buckets, SPEC.buckets + WAVES))
    dense = np.zeros((len(design.mean), len(names)), np.float32)
    dense[len(SURFACE_NAMES) :] = straight * straight_scales(len(design.mean))[:, None]
    return Columns(names, buckets, dense, waves * np.float32(design.amplitude), heads.bias)


def assemble(parts: Sequence[Columns], design: Design) -> Weights:
    """Return the weights of all columns, in the order of the parts."""

    def whole(name: str) -> Floats:
        joined: Floats = np.concatenate([getattr(part, name) for part in parts], axis=-1).astype(np.float32)
        return joined

    buckets, rows, scales = in_bytes(whole("buckets"))
    return Weights(
        buckets=buckets,
        rows=rows,
        columns=scales,
        dense=whole("dense"),
        mean=design.mean,
        scale=design.scale,
        limit=LIMIT,
        bias=whole("bias"),
        frequencies=design.frequencies,
        phases=design.phases,
        waves=whole("waves"),
    )
