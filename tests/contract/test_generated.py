"""Would catch generated code that is not what the contracts give, and rules that protovalidate cannot run."""

import shutil
from pathlib import Path

import protovalidate
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from generate_protos import SERVICES, differences, generate, install
from tandem.v1 import classifier_pb2, fusion_pb2, inference_pb2, orchestrator_pb2, types_pb2

FILES = [
    module.DESCRIPTOR for module in (classifier_pb2, fusion_pb2, inference_pb2, orchestrator_pb2, types_pb2)
]
MESSAGES = [message for file in FILES for message in file.message_types_by_name.values()]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the contracts give now."""
    folder = tmp_path_factory.mktemp("fresh")
    generate(folder)
    return folder


def test_committed_code_is_what_the_contracts_give(fresh: Path) -> None:
    assert differences(fresh, SERVICES) == [], "run `make protos` and commit the result"


def test_generating_twice_gives_the_same(fresh: Path, tmp_path: Path) -> None:
    generate(tmp_path)
    assert differences(fresh, tmp_path) == []


def test_every_kind_of_drift_is_seen_and_repaired(fresh: Path, tmp_path: Path) -> None:
    committed = tmp_path / "services"
    shutil.copytree(fresh, committed)
    package = committed / "tandem/v1"
    (package / "fusion_pb2.pyi").write_text("edited by hand\n")
    (package / "types_pb2.py").unlink()
    (package / "retired_pb2.py").touch()

    assert differences(fresh, committed) == [
        "differs: tandem/v1/fusion_pb2.pyi",
        "missing: tandem/v1/types_pb2.py",
        "no contract makes it: tandem/v1/retired_pb2.py",
    ]
    install(fresh, committed)
    assert differences(fresh, committed) == []


@pytest.mark.parametrize("descriptor", MESSAGES, ids=lambda descriptor: str(descriptor.name))
def test_the_rules_of_every_message_can_be_run(descriptor: Descriptor) -> None:
    empty: Message = message_factory.GetMessageClass(descriptor)()
    # Would raise CompilationError for a rule that does not fit its field; broken rules are fine in an empty message.
    protovalidate.collect_violations(empty)
