"""Finds the `deploy` folder: catalogue, policy, Triton's models and backends."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parent


def deploy_folder(package: Path = PACKAGE) -> Path:
    """Return the folder with the deployment's files.

    An installed wheel carries it inside the package; in a checkout it lies beside `services/`.

    Raises:
        FileNotFoundError: neither is there.
    """
    candidates = (package / "deploy", package.parents[1] / "deploy")
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    looked = " and ".join(str(candidate) for candidate in candidates)
    raise FileNotFoundError(
        f"Tandem's deploy folder is missing: looked for {looked}. "
        "The installation is incomplete: install the wheel again, or run from a whole checkout."
    )
