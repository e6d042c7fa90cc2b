"""Would catch the rest of a dead run left lying, a live run's folder taken away, or a log that says nothing useful."""

from __future__ import annotations

from pathlib import Path

from tandem.embedded.log_tail import log_tail
from tandem.embedded.run_folder import RunFolder

SHARED = Path("/dev/shm")  # noqa: S108 - the place is what is tested


def test_a_dead_run_is_cleaned_up_by_the_next_one_and_a_live_one_is_not(tmp_path: Path) -> None:
    dead, live = RunFolder(tmp_path), RunFolder(tmp_path)
    regions = [SHARED / f"{run.region_prefix}region" for run in (dead, live)]
    for region in regions:
        region.touch()
    dead.keep()
    later = RunFolder(tmp_path)
    assert not dead.path.exists()
    assert not regions[0].exists()
    assert live.path.exists()
    assert regions[1].exists()
    live.remove()
    later.remove()
    assert not regions[1].exists()
    assert [each.name for each in tmp_path.iterdir()] == [".lock"]


def test_backends_are_copied_whole_without_what_python_left_in_them(tmp_path: Path) -> None:
    backend = tmp_path / "simulator"
    (backend / "engine" / "__pycache__").mkdir(parents=True)
    (backend / "model.py").touch()
    (backend / "engine" / "part.py").touch()
    run = RunFolder(tmp_path / "runs")
    run.add_backends([backend])
    copied = sorted(str(each.relative_to(run.backends)) for each in run.backends.rglob("*"))
    assert copied == ["simulator", "simulator/engine", "simulator/engine/part.py", "simulator/model.py"]
    assert not (run.backends / "simulator" / "model.py").is_symlink()
    run.remove()


def test_the_library_lands_beside_the_module_that_models_import(tmp_path: Path) -> None:
    python, library = tmp_path / "python", tmp_path / "library"
    for package in (python, library / "booking"):
        package.mkdir(parents=True)
    (python / "triton_python_backend_utils.py").touch()
    (library / "booking" / "books.py").touch()
    run = RunFolder(tmp_path / "runs")
    run.add_backends([python])
    run.add_library(library)
    assert (run.backends / "python" / "booking" / "books.py").is_file()
    assert (run.backends / "python" / "triton_python_backend_utils.py").is_file()
    assert not run.books.is_relative_to(run.backends)
    run.remove()


def test_the_tail_shows_the_telling_lines(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    noise = ["Error: Failed to initialize NVML", "+-----+", "| r1  |", "", 'W "DCGM unable to start"']
    log.write_text(
        "\n".join([*(f"line {number}" for number in range(30)), *noise, "the cause"]), encoding="utf-8"
    )
    lines = log_tail(log).splitlines()
    assert lines[-2:] == ["line 29", "the cause"]
    assert len(lines) == 15
    assert log_tail(tmp_path / "none") == ""
