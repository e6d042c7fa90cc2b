"""Which kinds of content a conversation has."""

from __future__ import annotations

from collections.abc import Sequence

from tandem.v1 import types_pb2

_BY_FIELD = {
    "text": types_pb2.MODALITY_TEXT,
    "image": types_pb2.MODALITY_IMAGE,
    "audio": types_pb2.MODALITY_AUDIO,
}


def modalities(messages: Sequence[types_pb2.Message]) -> list[types_pb2.Modality.ValueType]:
    """Return the modalities present, each once, in the order of the enum."""
    found = set()
    # A copy, because the end of a list costs nothing: a repeated field tells its end by raising an error inside.
    for message in messages[:]:
        for part in message.parts[:]:
            kind = part.WhichOneof("content")
            if kind:
                found.add(_BY_FIELD[kind])
    return sorted(found)


def name_of(modality: types_pb2.Modality.ValueType) -> str:
    """Return the word for a modality, such as `image`."""
    return types_pb2.Modality.Name(modality).removeprefix("MODALITY_").lower()
