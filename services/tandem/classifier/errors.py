"""What is wrong with an artifact."""

from __future__ import annotations

from pathlib import Path


class ArtifactUnusable(Exception):
    """A file is not an artifact that this version can use; the message says why and what to do."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(
            f"{file}: {why}; name an artifact that `tandem train classifier` of this version made, or none for the "
            "shipped one"
        )
