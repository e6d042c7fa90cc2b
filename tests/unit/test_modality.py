"""Would catch: a kind of content that is overlooked, named twice or out of order."""

from __future__ import annotations

import pytest

from tandem.modality import modalities, name_of
from tandem.v1 import types_pb2
from tests.fakes.calls import image, user

AUDIO = types_pb2.Message(parts=[types_pb2.Part(audio=types_pb2.Audio(data=b"x"))])
TEXT, IMAGE, SOUND = types_pb2.MODALITY_TEXT, types_pb2.MODALITY_IMAGE, types_pb2.MODALITY_AUDIO


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([], []),
        ([user()], [TEXT]),
        ([image(), user(), image()], [TEXT, IMAGE]),
        ([AUDIO, image(), user()], [TEXT, IMAGE, SOUND]),
        ([types_pb2.Message(parts=[types_pb2.Part()])], []),
        ([user("")], [TEXT]),
    ],
)
def test_modalities(messages: list[types_pb2.Message], found: list[types_pb2.Modality.ValueType]) -> None:
    assert modalities(messages) == found


def test_every_kind_of_part_has_a_modality() -> None:
    kinds = types_pb2.Part.DESCRIPTOR.oneofs_by_name["content"].fields
    assert {field.name for field in kinds} == {name_of(modality) for modality in (TEXT, IMAGE, SOUND)}
