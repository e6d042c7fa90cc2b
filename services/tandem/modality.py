"""Which kinds of content a conversation has."""

from __future__ import annotations

from collections.abc import Iterable

from tandem.v1 import types_pb2

_BY_FIELD = {
    "text": types_pb2.MODALITY_TEXT,
    "image": types_pb2.MODALITY_IMAGE,
    "audio": types_pb2.MODALITY_AUDIO,
}


def modalities(messages: Iterable[types_pb2.Message]) -> list[types_pb2.Modality.ValueType]:
    """Return the modalities present, each once, in the order of the enum."""
    found = {_BY_FIELD[kind] for m in messages for part in m.parts if (kind := part.WhichOneof("content"))}
    return sorted(found)


def name_of(modality: types_pb2.Modality.ValueType) -> str:
    """Return the word for a modality, such as `image`."""
    return types_pb2.Modality.Name(modality).removeprefix("MODALITY_").lower()
