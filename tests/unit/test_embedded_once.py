"""Would catch a half-made folder in the cache that is taken for a whole one, or two processes that make it at once."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from tandem.embedded.errors import CacheUnusable
from tandem.embedded.once import check_space, make_once
from tandem.embedded.progress import LineProgress

PROGRESS = LineProgress(StringIO())

RACER = """
import sys, time
from pathlib import Path
from tandem.embedded.once import make_once
from tandem.embedded.progress import LineProgress
def build(folder):
    with Path(sys.argv[2]).open("a") as builds: builds.write("built\\n")
    time.sleep(0.5)
    (folder / "file").write_text("whole")
made = make_once(Path(sys.argv[1]), build, LineProgress(sys.stderr), valid=lambda folder: True)
print((made / "file").read_text())
"""


def write_file(folder: Path) -> None:
    (folder / "file").write_text("whole", encoding="utf-8")


def has_file(folder: Path) -> bool:
    return (folder / "file").exists()


def visible(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if not each.name.endswith(".lock"))


def test_makes_a_folder_once(tmp_path: Path) -> None:
    builds: list[Path] = []

    def build(folder: Path) -> None:
        builds.append(folder)
        write_file(folder)

    target = tmp_path / "deep" / "made"
    for _ in range(2):
        assert make_once(target, build, PROGRESS, has_file) == target
    assert len(builds) == 1
    assert visible(target.parent) == ["made"]


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        write_file(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_once(tmp_path / "made", build, PROGRESS, has_file)
    assert visible(tmp_path) == []


def test_what_a_killed_process_left_is_removed_and_not_used(tmp_path: Path) -> None:
    leftover = tmp_path / ".made.partial-dead"
    leftover.mkdir()
    (leftover / "file").write_text("half", encoding="utf-8")
    made = make_once(tmp_path / "made", write_file, PROGRESS, has_file)
    assert (made / "file").read_text(encoding="utf-8") == "whole"
    assert visible(tmp_path) == ["made"]


def test_a_folder_that_is_not_valid_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    make_once(tmp_path / "made", write_file, PROGRESS, has_file)
    assert has_file(tmp_path / "made")


def test_of_two_processes_one_builds_and_the_other_waits_and_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACER, str(tmp_path / "made"), str(tmp_path / "builds")]
    racers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    results = [racer.communicate() for racer in racers]
    assert [said.strip() for said, _ in results] == ["whole", "whole"]
    assert (tmp_path / "builds").read_text(encoding="utf-8") == "built\n"


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "cannot be written to")]
)
def test_a_disk_that_refuses_is_explained(tmp_path: Path, number: int, words: str) -> None:
    def build(folder: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(CacheUnusable, match=words) as refusal:
        make_once(tmp_path / "made", build, PROGRESS, has_file)
    assert "TANDEM_CACHE_DIR" in str(refusal.value)


def test_a_file_in_the_place_of_the_cache_is_explained(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(CacheUnusable, match="cannot be written to"):
        make_once(tmp_path / "cache" / "triton" / "made", write_file, PROGRESS, has_file)


def test_too_little_room_is_refused_before_anything_begins(tmp_path: Path) -> None:
    check_space(tmp_path, 1, "Something small")
    with pytest.raises(CacheUnusable, match=r"Something huge needs 1000000000000 MB .* TANDEM_CACHE_DIR"):
        check_space(tmp_path, 10**18, "Something huge")
