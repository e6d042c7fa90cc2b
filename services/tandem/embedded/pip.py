"""Runs pip, with the index that the user configured, and shows how far it is."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tandem.embedded.errors import DownloadFailed, InterpreterUnsuitable
from tandem.embedded.growth import growth_shown
from tandem.embedded.once import make_once
from tandem.embedded.progress import Progress, Report

SHOWN_LINES: Final = 12


def pip_command(cache: Path, progress: Progress) -> list[str]:
    """Return the beginning of a pip command: the running Python's own pip, else one of a small environment.

    Raises:
        InterpreterUnsuitable: there is no pip, and no ensurepip to make one.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    target = cache / "pip-{}.{}".format(*sys.version_info[:2])
    make_once(target, _make_pip, progress, valid=lambda folder: (folder / "bin" / "python").exists())
    return [str(target / "bin" / "python"), "-m", "pip"]


def run_pip(command: Sequence[str], folder: Path, report: Report, what: str) -> None:
    """Run a pip command that writes into `folder`, and report its growth in bytes.

    Raises:
        DownloadFailed: pip failed; carries the end of what it said.
    """
    # pip downloads into TMPDIR first: there the growth shows, and no small /tmp is in the way.
    environ = {**os.environ, "TMPDIR": str(folder), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    with tempfile.TemporaryFile("w+") as said:
        with growth_shown(folder, report):
            done = subprocess.run(
                command,
                env=environ,
                stdout=said,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        if done.returncode == 0:
            return
        said.seek(0)
        lines = [line.rstrip() for line in said if line.strip()]
    raise DownloadFailed(
        f"{what} could not be fetched: pip ended with status {done.returncode}. Its last words:\n  "
        + "\n  ".join(lines[-SHOWN_LINES:])
        + "\nCheck the network and pip's configuration (pip config list), then run the command again."
    )


def _make_pip(folder: Path) -> None:
    try:
        venv.create(folder, with_pip=True, symlinks=True)
    except subprocess.CalledProcessError as error:
        name = "python{}.{}".format(*sys.version_info[:2])
        raise InterpreterUnsuitable(
            f"{sys.executable} has no pip, and its module ensurepip that would make one is missing. "
            f"On Debian or Ubuntu: apt-get install {name}-venv; elsewhere install pip for this Python."
        ) from error
