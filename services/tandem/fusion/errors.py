"""What can be wrong with what fusion reads."""

from __future__ import annotations


class ArtifactUnusable(Exception):
    """A file is not an artifact that this version can use; the message says what to do."""
