"""Would catch: an error class without a status, a reason used twice or not in the contract's comments."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import grpc
import pytest

from tandem import errors
from tandem.errors import BY_REASON, TABLE, Code, TandemError

PROTOS = Path(__file__).parents[2] / "protos" / "tandem" / "v1"
COMMENTS = {
    file.name: " ".join(re.findall(r"^\s*//\s?(.*)$", file.read_text(encoding="utf-8"), re.MULTILINE))
    for file in PROTOS.glob("*.proto")
}


def classes(base: type[TandemError] = TandemError) -> set[type[TandemError]]:
    found = {base} if base is not TandemError else set()
    return found.union(*(classes(sub) for sub in base.__subclasses__() if sub.__module__ == errors.__name__))


def test_every_class_has_a_row() -> None:
    assert set(TABLE) == classes()
    assert classes()


def test_reasons_are_unique_and_found_again() -> None:
    assert [reason for reason, count in Counter(r for _, r in TABLE.values()).items() if count > 1] == []
    assert {reason: TABLE[kind][1] for reason, kind in BY_REASON.items()} == {r: r for _, r in TABLE.values()}


@pytest.mark.parametrize("code", Code)
def test_codes_are_those_of_grpc_and_used(code: Code) -> None:
    assert grpc.StatusCode[code.name].value[0] == code.value
    assert any(code is used for used, _ in TABLE.values())


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_every_reason_is_in_the_contract_beside_its_status(kind: type[TandemError]) -> None:
    code, reason = TABLE[kind]
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,62}", reason), "as google.rpc.ErrorInfo wants it"
    assert re.search(rf"\b{code.name} \([^)]*\b{reason}\b", COMMENTS["orchestrator.proto"])


@pytest.mark.parametrize("file", COMMENTS)
def test_the_contract_names_no_reason_that_does_not_exist(file: str) -> None:
    for status, reasons in re.findall(r"\b([A-Z_]+) \(([A-Z_]+(?:[, ]+[a-zA-Z_ ]+)*)\)", COMMENTS[file]):
        for reason in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b|\b(?:INTERNAL|CANCELLED|DRAINING)\b", reasons):
            assert reason in BY_REASON, reason
            assert TABLE[BY_REASON[reason]][0].name == status


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_every_error_explains_itself(kind: type[TandemError]) -> None:
    assert kind.__doc__
    error = kind("what happened")
    assert (str(error), error.message) == ("what happened", "what happened")
    assert (error.code, error.reason) == TABLE[kind]
    assert (list(error.details.violations), error.details.retry_after_seconds, error.details.metadata) == (
        [],
        None,
        {},
    )
