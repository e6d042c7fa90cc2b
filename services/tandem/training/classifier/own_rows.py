"""Lays conversations of one's own out as an artifact reads them: what its columns say, n-grams and waves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tandem.classifier.artifact import Artifact
from tandem.classifier.conversation import Conversation
from tandem.classifier.header import ScoreHead
from tandem.classifier.summing import Sums

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]

SMALL: Final = 1e-6
"""Deviation below which numbers are the same."""


@dataclass(frozen=True, slots=True)
class Line:
    """A weighted sum of the columns of an artifact, and what is added to it; weights of shape [columns]."""

    weights: Numbers
    bias: float

    @classmethod
    def of(cls, head: ScoreHead, columns: Sequence[str]) -> Line:
        """Return the straight line through the ends of what a head reads."""
        slope = (head.value[-1] - head.value[0]) / (head.at[-1] - head.at[0])
        weights = np.array([slope * head.mix.get(name, 0.0) for name in columns])
        return cls(weights, head.value[0] - slope * head.at[0])

    def __add__(self, other: Line) -> Line:
        """Return the sum of both."""
        return Line(self.weights + other.weights, self.bias + other.bias)

    def read(self, columns: Numbers) -> Numbers:
        """Return the sum for rows of columns; shape [rows]."""
        found: Numbers = columns @ self.weights + self.bias
        return found


@dataclass(frozen=True, slots=True)
class Laid:
    """Conversations in numbers, one a row."""

    columns: Numbers
    """What the artifact says; shape [rows, columns]."""
    grams: sparse.csr_array
    """Weighed buckets, those of the context included; shape [rows, buckets]."""
    waves: Numbers
    """Cosines; shape [rows, waves]."""

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, places: Places) -> Laid:
        """Return some of the rows."""
        return Laid(self.columns[places], self.grams[places], self.waves[places])


def lay(artifact: Artifact, conversations: Sequence[Conversation]) -> Laid:
    """Lay conversations out with the features and weights of an artifact, the way it judges them."""
    weights, extractor = artifact.weights, artifact.extractor
    weight = np.float32(artifact.header.context_weight)
    sums = Sums(weights)
    indices, values, standard, angles, counts = [], [], [], [], []
    for each in conversations:
        found = [extractor.features(*each.request)]
        _, places, on_waves = sums.form(found[0].dense)
        standard.append(places)
        angles.append(on_waves)
        factors = [np.float32(1)]
        if each.context and weight:
            found.append(extractor.features(each.context, encode=False))
            factors.append(weight)
        indices += [one.indices for one in found]
        values += [one.values * factor for one, factor in zip(found, factors, strict=True)]
        counts.append(sum(len(one.indices) for one in found))
    grams = sparse.csr_array(
        (
            np.concatenate(values).astype(np.float64),
            np.concatenate(indices).astype(np.int64),
            np.cumsum([0, *counts]),
        ),
        shape=(len(conversations), artifact.header.features.buckets),
    )
    form = np.stack(standard)
    waves = np.cos(np.stack(angles) + weights.phases).astype(np.float64)
    said = grams @ bucket_weights(artifact) + form @ weights.dense + waves @ weights.waves + weights.bias
    return Laid(said.astype(np.float64), grams, waves)


def bucket_weights(artifact: Artifact) -> NDArray[np.float32]:
    """Return the weights of buckets as numbers; shape [buckets, columns]."""
    weights = artifact.weights
    found: NDArray[np.float32] = weights.buckets.astype(np.float32)
    found *= weights.rows[:, None]
    found *= weights.columns
    return found
