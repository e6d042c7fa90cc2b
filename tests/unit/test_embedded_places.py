"""Would catch a cache or a deployment looked for in the wrong place, and progress that a user cannot read."""

from __future__ import annotations

import io
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from tandem.cache_folder import cache_folder
from tandem.deployment import deploy_folder
from tandem.embedded.growth import folder_bytes, growth_shown
from tandem.embedded.progress import BarProgress, LineProgress, progress_on


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TANDEM_CACHE_DIR": "/named", "XDG_CACHE_HOME": "/shared"}, Path("/named")),
        ({"TANDEM_CACHE_DIR": "", "XDG_CACHE_HOME": "/shared"}, Path("/shared/tandem")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache" / "tandem"),
        ({}, Path.home() / ".cache" / "tandem"),
    ],
)
def test_the_cache_is_where_it_is_named(variables: dict[str, str], expected: Path) -> None:
    assert cache_folder(variables) == expected


def test_a_relative_name_of_the_cache_is_made_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache_folder({"TANDEM_CACHE_DIR": "here"}) == tmp_path / "here"


def test_the_deployment_of_a_wheel_comes_before_that_of_a_checkout(tmp_path: Path) -> None:
    package = tmp_path / "services" / "tandem"
    (tmp_path / "deploy").mkdir(parents=True)
    package.mkdir(parents=True)
    assert deploy_folder(package) == tmp_path / "deploy"
    (package / "deploy").mkdir()
    assert deploy_folder(package) == package / "deploy"
    assert (deploy_folder() / "triton" / "requirements.lock").is_file()


def test_a_missing_deployment_is_explained(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="install the wheel again"):
        deploy_folder(tmp_path / "services" / "tandem")


def test_a_pipe_gets_one_line_at_start_and_one_at_the_end() -> None:
    stream = io.StringIO()
    progress = progress_on(stream)
    assert isinstance(progress, LineProgress)
    with progress.step("Fetching it", 5_000_000) as report:
        for done_bytes in range(0, 5_000_000, 100_000):
            report(done_bytes)
    first, last = stream.getvalue().splitlines()
    assert first == "Fetching it (5 MB) ..."
    assert last.startswith("Fetching it: done in ")


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    main, terminal_side = pty.openpty()
    with open(terminal_side, "w", encoding="utf-8") as stream, open(main, "rb"):  # noqa: PTH123 - descriptors
        yield stream


def test_a_terminal_gets_a_bar(terminal: TextIO) -> None:
    progress = progress_on(terminal)
    assert isinstance(progress, BarProgress)
    with progress.step("Fetching it", 10) as report:
        report(5)


def test_growth_is_reported_while_it_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.embedded.growth.LOOK_SECONDS", 0.01)
    seen: list[int] = []
    with growth_shown(tmp_path, seen.append):
        for size in (10, 20):
            (tmp_path / "file").write_bytes(bytes(size))
            while size not in seen:
                pass
    assert folder_bytes(tmp_path) == 20
