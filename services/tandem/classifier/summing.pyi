# Types of `summing.pyx`, where the documentation is.

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features import Features
from tandem.classifier.features.spec import Indices, Values
from tandem.classifier.weights import Floats, Weights

class Sums:
    def __init__(self, weights: Weights) -> None: ...
    def ngrams(self, indices: Indices, values: Values) -> Floats: ...
    def form(self, dense: Floats) -> tuple[Floats, Floats, Floats]: ...

class Parts:
    def __init__(
        self,
        weights: Weights,
        mix: Floats,
        kinds: Sequence[int],
        present: int,
        terms: tuple[NDArray[np.uint32], Floats, Sequence[int]],
        wording: int,
        told: int,
        bounds: tuple[int, float, float],
    ) -> None: ...
    def of(
        self, features: Features, standard: Floats, angles: Floats, ngrams: Floats
    ) -> list[tuple[int, float]]: ...
