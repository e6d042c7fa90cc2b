"""Would catch: an installation that does not find its files, or does not say which are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.deployment import deploy_folder


def test_this_installation_is_whole() -> None:
    assert {"catalogue.yaml", "policy.yaml", "triton"} <= {path.name for path in deploy_folder().iterdir()}


def test_a_wheel_before_a_checkout(tmp_path: Path) -> None:
    package = tmp_path / "services" / "tandem"
    (tmp_path / "deploy").mkdir(parents=True)
    package.mkdir(parents=True)
    assert deploy_folder(package) == tmp_path / "deploy"
    (package / "deploy").mkdir()
    assert deploy_folder(package) == package / "deploy"


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    package = tmp_path / "services" / "tandem"
    with pytest.raises(FileNotFoundError, match="install the wheel again") as caught:
        deploy_folder(package)
    assert str(package / "deploy") in str(caught.value)
