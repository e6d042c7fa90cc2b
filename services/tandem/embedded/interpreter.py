"""Finds the Python that Triton's Python backend shall run on, and its shared library."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tandem.embedded.errors import OTHER_TRITON, InterpreterUnsuitable

SUITABLE: Final = ((3, 11), (3, 12))
"""Triton's stub needs NumPy 1, whose last version has wheels up to Python 3.12."""

QUESTION: Final = """
import json, platform, sys, sysconfig
print(json.dumps({
    "implementation": platform.python_implementation(),
    "version": platform.python_version(),
    "prefix": sys.base_prefix,
    "folders": [sysconfig.get_config_var("LIBDIR") or "", sys.base_prefix + "/lib"],
    "multiarch": sysconfig.get_config_var("MULTIARCH") or "",
}))
"""
QUESTION_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that was found on this machine."""

    executable: Path
    implementation: str
    version: str
    """Such as 3.11.7."""
    prefix: Path
    library: Path | None
    """The shared libpython; None if there is none."""

    @property
    def minor(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)

    @property
    def name(self) -> str:
        """Such as python3.11, as the package of a distribution is called."""
        return "python{}.{}".format(*self.minor)

    def objection(self) -> str:
        """Return why Triton's Python backend cannot run on this Python, or an empty text."""
        if self.implementation != "CPython":
            return f"is {self.implementation}, not CPython"
        if self.minor not in SUITABLE:
            return "has no wheels of NumPy 1, which Triton's Python backend needs"
        if self.library is None:
            return f"has no shared library lib{self.name}.so.1.0"
        return ""


def ask_interpreter(executable: Path) -> Interpreter | None:
    """Return what is known of the Python at that path; None if it does not run, as a pyenv shim may not."""
    try:
        done = subprocess.run(
            [executable, "-I", "-S", "-c", QUESTION],
            capture_output=True,
            timeout=QUESTION_SECONDS,
            check=True,
        )
        facts = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    folders = [Path(folder) for folder in facts["folders"] if folder]
    folders += [folder / facts["multiarch"] for folder in folders if facts["multiarch"]]
    file_name = "libpython{}.{}.so.1.0".format(*facts["version"].split(".")[:2])
    libraries = (folder / file_name for folder in folders)
    return Interpreter(
        executable=executable,
        implementation=facts["implementation"],
        version=facts["version"],
        prefix=Path(facts["prefix"]),
        library=next((library for library in libraries if library.is_file()), None),
    )


def candidates() -> list[Path]:
    """Return the Pythons to look at: the running one, then those of suitable versions on PATH."""
    found = (shutil.which("python{}.{}".format(*version)) for version in reversed(SUITABLE))
    return [Path(sys.executable), *(Path(path) for path in found if path)]


def find_interpreter(executables: Iterable[Path]) -> Interpreter:
    """Return the first Python that Triton's Python backend can run on.

    Raises:
        InterpreterUnsuitable: none of them; says what is wrong with each and what to install.
    """
    found: list[Interpreter] = []
    for interpreter in map(ask_interpreter, executables):
        if interpreter is None:
            continue
        if not interpreter.objection():
            return interpreter
        found.append(interpreter)
    raise InterpreterUnsuitable(_advice(found))


def _advice(found: list[Interpreter]) -> str:
    objections = "; ".join(f"{each.executable} (Python {each.version}) {each.objection()}" for each in found)
    lacking = next((each.name for each in found if each.minor in SUITABLE), "python3.12")
    return (
        f"Triton's Python backend needs CPython 3.11 or 3.12 with its shared library. Found: {objections or 'none'}. "
        f"On Debian or Ubuntu: apt-get install {lacking} lib{lacking}; "
        f"with pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {lacking.removeprefix('python')}; "
        f"or {OTHER_TRITON}. Tandem itself may keep running on the Python it has."
    )
