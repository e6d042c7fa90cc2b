"""Triton's own Python environment: made once in the cache folder, from a lock file with hashes.

It is apart from Tandem's because Triton's Python backend needs NumPy 1, as in production, where Triton is another
container.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tandem.deployment import deploy_folder
from tandem.embedded.errors import OTHER_TRITON, EmbeddedError, PlatformUnsupported
from tandem.embedded.host import check_host, this_host
from tandem.embedded.interpreter import Interpreter, candidates, find_interpreter
from tandem.embedded.once import check_space, make_once
from tandem.embedded.pip import pip_command, run_pip
from tandem.embedded.progress import Progress

NEEDED_BYTES: Final = 900_000_000
"""Room for the environment and, while it is made, for its downloads."""
LAYOUT: Final = "1"
"""Raised when the contents of the folder change, so that an older one is not taken for it."""
NOT_FOUND: Final = 127
"""Exit status of a program whose libraries the loader does not find."""


@dataclass(frozen=True, slots=True)
class TritonEnvironment:
    """Where the parts of a Triton that can run on this machine are."""

    folder: Path

    @property
    def python(self) -> Path:
        """The Python of Triton's models."""
        return self.folder / "bin" / "python"

    @property
    def tritonserver(self) -> Path:
        """The server's program."""
        return self._packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"

    @property
    def python_backend(self) -> Path:
        """The folder of Triton's Python backend, with the stub of this Python version."""
        return self.folder / "backends" / "python"

    @property
    def library_path(self) -> str:
        """Value of LD_LIBRARY_PATH."""
        return f"{self.folder / 'libpython'}:{self._packages / 'nvidia_pytriton.libs'}"

    def variables(self) -> dict[str, str]:
        """Return the environment variables that Triton has to run with, and the rest of this process's."""
        unwanted = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSTARTUP")
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        # The embedded interpreter finds its packages from the first python3 on PATH.
        path = f"{self.folder / 'bin'}:{kept.get('PATH', os.defpath)}"
        return {**kept, "PATH": path, "LD_LIBRARY_PATH": self.library_path}

    @property
    def _packages(self) -> Path:
        return next(self.folder.glob("lib/python3.*/site-packages"))


def prepare(cache: Path, progress: Progress) -> TritonEnvironment:
    """Return Triton's environment in the cache folder, made now if it is not there.

    Raises:
        EmbeddedError: the machine cannot run it (nothing has been downloaded then), or it could not be fetched.
    """
    check_host(this_host())
    interpreter = find_interpreter(candidates())
    lock = deploy_folder() / "triton" / "requirements.lock"
    folder = cache / "triton" / environment_key(interpreter, lock.read_bytes())

    def build(partial: Path) -> None:
        check_space(partial, NEEDED_BYTES, "Triton's environment")
        _make_venv(interpreter, partial)
        _install(lock, partial, pip_command(cache, progress), progress)
        _assemble(interpreter, partial)
        _check_programs(TritonEnvironment(partial))

    make_once(folder, build, progress, valid=lambda made: (made / "bin" / "python").exists())
    return TritonEnvironment(folder)


def environment_key(interpreter: Interpreter, lock: bytes) -> str:
    """Return the name of the environment's folder: another lock file or another Python makes another one."""
    facts = (LAYOUT, interpreter.version, str(interpreter.prefix), str(interpreter.library))
    digest = hashlib.sha256("\0".join(facts).encode() + b"\0" + lock).hexdigest()
    return f"{interpreter.name}-{digest[:16]}"


def _make_venv(interpreter: Interpreter, folder: Path) -> None:
    # Without pip: Tandem's own pip installs into it, so that Python may lack ensurepip.
    command = [str(interpreter.executable), "-I", "-m", "venv", "--without-pip", "--symlinks", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EmbeddedError(
            f"{interpreter.executable} could not make a virtual environment: {(done.stderr or done.stdout).strip()} "
            f"On Debian or Ubuntu: apt-get install {interpreter.name}-venv."
        )


def _install(lock: Path, folder: Path, pip: list[str], progress: Progress) -> None:
    command = [*pip, "--python", str(folder / "bin" / "python"), "install", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--no-compile", "--quiet", "-r", str(lock)]
    with progress.step("Fetching Triton and llama.cpp into an environment of their own") as report:
        run_pip(command, folder, report, "Triton's environment")


def _assemble(interpreter: Interpreter, folder: Path) -> None:
    environment = TritonEnvironment(folder)
    server = environment.tritonserver.parents[1]
    # Copies: Triton refuses a backend whose files are links to another folder.
    shutil.copytree(server / "backends" / "python", environment.python_backend)
    version = "{}.{}".format(*interpreter.minor)
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy2(stub, environment.python_backend)
    # A folder with this one library: the interpreter's own lib folder may hold others that shadow the system's.
    assert interpreter.library is not None  # noqa: S101 - an interpreter without one was refused
    (folder / "libpython").mkdir()
    (folder / "libpython" / interpreter.library.name).symlink_to(interpreter.library)


def _check_programs(environment: TritonEnvironment) -> None:
    for program in (environment.tritonserver, environment.python_backend / "triton_python_backend_stub"):
        done = subprocess.run(
            [program, "--help"], env=environment.variables(), capture_output=True, text=True, check=False
        )
        if done.returncode == NOT_FOUND:
            raise PlatformUnsupported(
                f"Triton cannot be loaded on this machine: {done.stderr.strip()}. Install the package that has this "
                f"library (libssl.so.3: apt-get install libssl3), or {OTHER_TRITON}."
            )
