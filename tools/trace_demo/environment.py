"""The trace UI's own Python environment: made once in the cache folder, from a lock file with hashes.

It is apart from Tandem's because it is large, and because nothing of Tandem needs it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

from tandem.embedded.errors import EmbeddedError
from tandem.embedded.once import check_space, make_once
from tandem.embedded.pip import pip_command, run_pip
from tandem.embedded.progress import Progress

LOCK: Final = Path(__file__).resolve().parents[2] / "deploy" / "trace_ui" / "requirements.lock"
NEEDED_BYTES: Final = 1_600_000_000
"""Room for the environment and, while it is made, for its downloads."""


def environment(cache: Path) -> Path:
    """Return the environment's folder, which need not be there: another lock file or Python makes another one."""
    version = "{}.{}".format(*sys.version_info[:2])
    digest = hashlib.sha256(version.encode() + b"\0" + sys.base_prefix.encode() + b"\0" + LOCK.read_bytes())
    return cache / "trace-ui" / f"python{version}-{digest.hexdigest()[:16]}"


def python(folder: Path) -> Path:
    """Return the Python of an environment."""
    return folder / "bin" / "python"


def prepare(cache: Path, progress: Progress) -> Path:
    """Return the environment's folder, made now if it is not there.

    Raises:
        EmbeddedError: it could not be fetched.
    """

    def build(partial: Path) -> None:
        check_space(partial, NEEDED_BYTES, "The trace UI")
        _make_venv(partial)
        command = [*pip_command(cache, progress), "--python", str(python(partial)), "install", "--no-deps"]
        command += ["--require-hashes", "--only-binary=:all:", "--no-compile", "--quiet", "-r", str(LOCK)]
        with progress.step("Fetching the trace UI into an environment of its own") as report:
            run_pip(command, partial, report, "The trace UI")

    return make_once(environment(cache), build, progress, valid=lambda made: python(made).exists())


def _make_venv(folder: Path) -> None:
    command = [sys.executable, "-I", "-m", "venv", "--without-pip", "--symlinks", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EmbeddedError(
            f"{sys.executable} could not make a virtual environment: {(done.stderr or done.stdout).strip()}"
        )
