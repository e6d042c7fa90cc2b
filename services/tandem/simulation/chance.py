"""Where everything that is drawn comes from."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Return a generator of its own for each purpose, so that a change of one does not change all others."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])
