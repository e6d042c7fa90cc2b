"""Would catch a Python chosen that Triton's stub cannot run on, a suitable one overlooked, or advice that is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tandem.embedded.errors import InterpreterUnsuitable
from tandem.embedded.interpreter import ask_interpreter, find_interpreter


def fake_python(folder: Path, version: str, *, library: bool = True, implementation: str = "CPython") -> Path:
    """Make a program that answers like a Python of that version."""
    prefix = folder / version
    (prefix / "lib").mkdir(parents=True)
    if library:
        minor = ".".join(version.split(".")[:2])
        (prefix / "lib" / f"libpython{minor}.so.1.0").touch()
    facts = {
        "implementation": implementation,
        "version": version,
        "prefix": str(prefix),
        "folders": [str(prefix / "lib")],
        "multiarch": "",
    }
    program = prefix / "python"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(facts)}'\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def test_finds_out_about_the_running_python() -> None:
    found = ask_interpreter(Path(sys.executable))
    assert found is not None
    assert found.minor == sys.version_info[:2]
    assert found.prefix == Path(sys.base_prefix)


def test_finds_the_library_in_the_folder_of_the_architecture(tmp_path: Path) -> None:
    program = fake_python(tmp_path, "3.11.2", library=False)
    (tmp_path / "3.11.2" / "lib" / "x86_64-linux-gnu").mkdir()
    library = tmp_path / "3.11.2" / "lib" / "x86_64-linux-gnu" / "libpython3.11.so.1.0"
    library.touch()
    text = program.read_text(encoding="utf-8").replace('"multiarch": ""', '"multiarch": "x86_64-linux-gnu"')
    program.write_text(text, encoding="utf-8")
    found = ask_interpreter(program)
    assert found is not None
    assert found.library == library


def test_the_first_suitable_one_is_taken(tmp_path: Path) -> None:
    programs = [fake_python(tmp_path, version) for version in ("3.13.0", "3.12.1", "3.11.7")]
    assert find_interpreter(programs).version == "3.12.1"


def test_a_program_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'python3.12: command not found' >&2\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)
    good = fake_python(tmp_path, "3.11.7")
    assert find_interpreter([tmp_path / "nowhere", shim, good]).version == "3.11.7"


@pytest.mark.parametrize(
    ("version", "facts", "words"),
    [
        ("3.13.0", {}, ["3.13.0", "NumPy 1", "python3.12"]),
        ("3.10.2", {}, ["3.10.2", "3.11 or 3.12"]),
        ("3.11.4", {"library": False}, ["libpython3.11.so.1.0", "apt-get install python3.11 libpython3.11"]),
        ("3.11.4", {"implementation": "PyPy"}, ["PyPy", "CPython"]),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_install(
    tmp_path: Path, version: str, facts: dict[str, bool], words: list[str]
) -> None:
    with pytest.raises(InterpreterUnsuitable) as refusal:
        find_interpreter([fake_python(tmp_path, version, **facts)])  # type: ignore[arg-type]  # keywords from a table
    assert all(word in str(refusal.value) for word in [*words, "--triton-url"])
