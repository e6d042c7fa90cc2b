"""What the tests of the classifier share."""

from __future__ import annotations

import pytest

from tandem.classifier.judge import Judge
from tests.fakes import artifacts


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """A judge by an artifact made by hand."""
    return artifacts.judge(tmp_path_factory.mktemp("artifact"))
