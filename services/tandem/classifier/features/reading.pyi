# Types of `reading.pyx`, where the documentation is.

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.features.spec import FeatureSpec, Hashes, Indices, Rows, Values

HASH_BITS: Final = 64

class Reader:
    def __init__(
        self, spec: FeatureSpec, keys: Hashes | None = None, weights: NDArray[np.float32] | None = None
    ) -> None: ...
    def read(self, text: str, characters: int) -> tuple[Indices, Values, NDArray[np.float32], Rows]: ...
    def sequence(self, text: str) -> tuple[int, int]: ...
