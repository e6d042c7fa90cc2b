"""Would catch: a part of the contract without a comment, a setting without a description."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc_tools
import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from tandem.classifier.settings import Settings as ClassifierSettings
from tandem.fusion.settings import Settings as FusionSettings
from tandem.inference.settings import Settings as InferenceSettings
from tandem.orchestrator.settings import Settings as OrchestratorSettings
from tandem.serving.settings import ServiceSettings

PROTOS = Path(__file__).parents[2] / "protos"
File = descriptor_pb2.FileDescriptorProto
# Numbers of the fields of FileDescriptorProto and DescriptorProto that a path of source information is made of.
MESSAGES, ENUMS, SERVICES = 4, 5, 6
FIELDS, NESTED, NESTED_ENUMS, ONEOFS = 2, 3, 4, 8
SYNTAX, PACKAGE = 12, 2
VALUES, METHODS = 2, 2
Element = tuple[str, tuple[int, ...]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[File]:
    target = tmp_path_factory.mktemp("contract") / "contract.binpb"
    sources = sorted((PROTOS / "tandem" / "v1").glob("*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    options = [f"-I{PROTOS}", f"-I{well_known}", f"--descriptor_set_out={target}", "--include_source_info"]
    assert protoc.main(["protoc", *options, *map(str, sources)]) == 0
    found = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    assert len(found.file) == len(sources) > 0
    return list(found.file)


def elements(file: File) -> Iterator[Element]:
    """Yield the name and the path of everything that needs a comment."""
    for number, message in enumerate(file.message_type):
        yield from _of_message(message, (MESSAGES, number))
    for number, enum in enumerate(file.enum_type):
        yield from _of_enum(enum, (ENUMS, number))
    for number, service in enumerate(file.service):
        yield service.name, (SERVICES, number)
        for position, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", (SERVICES, number, METHODS, position)


def _of_message(message: descriptor_pb2.DescriptorProto, path: tuple[int, ...]) -> Iterator[Element]:
    yield message.name, path
    synthetic = {field.oneof_index for field in message.field if field.proto3_optional}
    for number, field in enumerate(message.field):
        yield f"{message.name}.{field.name}", (*path, FIELDS, number)
    for number, oneof in enumerate(message.oneof_decl):
        if number not in synthetic:
            yield f"{message.name}.{oneof.name}", (*path, ONEOFS, number)
    for number, nested in enumerate(message.nested_type):
        yield from _of_message(nested, (*path, NESTED, number))
    for number, enum in enumerate(message.enum_type):
        yield from _of_enum(enum, (*path, NESTED_ENUMS, number))


def _of_enum(enum: descriptor_pb2.EnumDescriptorProto, path: tuple[int, ...]) -> Iterator[Element]:
    yield enum.name, path
    for number, value in enumerate(enum.value):
        yield value.name, (*path, VALUES, number)


def _comments(file: File) -> dict[tuple[int, ...], str]:
    return {tuple(place.path): place.leading_comments.strip() for place in file.source_code_info.location}


def test_everything_in_the_contract_has_a_comment(files: list[File]) -> None:
    named = [(name, _comments(file).get(path, "")) for file in files for name, path in elements(file)]
    assert len(named) > 200
    assert [name for name, comment in named if not comment] == []


def test_comments_are_sentences(files: list[File]) -> None:
    named = [(name, _comments(file)[path]) for file in files for name, path in elements(file)]
    assert [name for name, comment in named if not comment.endswith((".", ".)"))] == []
    assert [name for name, comment in named if comment[0].islower() and not comment.startswith("gRPC")] == []


def test_every_file_says_what_it_is_for(files: list[File]) -> None:
    assert [file.name for file in files if not _comments(file).get((SYNTAX,))] == []


def test_every_rpc_says_whether_it_may_be_repeated(files: list[File]) -> None:
    for file in files:
        for name, path in elements(file):
            if path[0] == SERVICES and len(path) == 4:
                assert "dempotent" in _comments(file)[path], name


@pytest.mark.parametrize(
    "settings",
    [OrchestratorSettings, ClassifierSettings, InferenceSettings, FusionSettings],
    ids=lambda settings: settings.__module__,
)
def test_every_setting_has_a_description(settings: type[ServiceSettings]) -> None:
    fields = settings.model_fields
    assert set(fields) >= set(ServiceSettings.model_fields)
    assert [name for name, field in fields.items() if not (field.description or "").endswith(".")] == []
