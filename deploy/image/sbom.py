"""Writes which Python packages are in an image, as CycloneDX 1.6: python sbom.py NAME FILE [FOLDER_OF_PACKAGES]."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def components(folders: list[str]) -> Iterator[dict[str, str]]:
    """Yield every distribution that is installed in the folders."""
    for found in importlib.metadata.distributions(path=folders):
        name, version = found.metadata["Name"], found.version
        yield {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version}",
            "bom-ref": f"{name}@{version}",
        }


def bill(image: str, folders: list[str]) -> Mapping[str, Any]:
    """Return the bill of materials of an image."""
    listed = sorted(components(folders), key=lambda component: component["name"].lower())
    subject = {"type": "container", "name": image, "bom-ref": image}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"component": subject},
        "components": listed,
    }


def main(image: str, file: str, folder: str = "") -> None:
    """Write the bill of the folder's packages, or of those of the Python that runs this."""
    folders = [folder] if folder else sys.path
    Path(file).write_text(json.dumps(bill(image, folders), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
