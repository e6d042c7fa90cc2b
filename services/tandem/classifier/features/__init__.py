"""Turns a text into numbers: hashed words and characters, counts of its form, known terms.

One compiled pass over the characters (`reading.pyx`). The hashes are exact 64-bit integers, so that every platform
finds the same indices.
"""

from __future__ import annotations

from tandem.classifier.features.extract import VECTOR_NAME, Batch, Extractor, Features
from tandem.classifier.features.reading import HASH_BITS
from tandem.classifier.features.spec import FeatureSpec, Group
from tandem.classifier.features.surface import SURFACE_NAMES
from tandem.classifier.features.terms import Terms

__all__ = [
    "HASH_BITS",
    "SURFACE_NAMES",
    "VECTOR_NAME",
    "Batch",
    "Extractor",
    "FeatureSpec",
    "Features",
    "Group",
    "Terms",
]
