"""What tests of commands share that write into a policy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A copy of the shipped policy, its catalogue beside it."""
    for name in ("policy.yaml", "catalogue.yaml"):
        shutil.copy(DEPLOY / name, tmp_path / name)
    return tmp_path / "policy.yaml"
