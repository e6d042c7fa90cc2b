"""Would catch: an error that arrives as another class, or loses what it carries on the wire."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import (
    TABLE,
    BackendUnavailable,
    Cancelled,
    DeadlineExceeded,
    Details,
    InternalError,
    InvalidRequest,
    TandemError,
    Violation,
)
from tandem.serving.status import DETAILS_KEY, from_rpc_error, from_status, to_status

_text = st.text(max_size=30)
_details = st.builds(
    Details,
    violations=st.lists(st.builds(Violation, _text, _text), max_size=4),
    retry_after_seconds=st.none() | st.floats(0, 1e6),
    metadata=st.dictionaries(_text, _text, max_size=3),
)


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_every_row_survives_the_wire(kind: type[TandemError]) -> None:
    code, reason = TABLE[kind]
    status = Status.FromString(to_status(kind("what and why"), "id").SerializeToString())
    assert (status.code, status.message) == (code, "what and why")
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == (reason, "tandem", {"request_id": "id"})
    assert type(from_status(status)) is kind


@given(st.sampled_from(list(TABLE)), _text, _details)
def test_details_survive_the_wire(kind: type[TandemError], message: str, details: Details) -> None:
    read = from_status(Status.FromString(to_status(kind(message, details), "id").SerializeToString()))
    assert type(read) is kind
    assert read.message == message
    assert list(read.details.violations) == list(details.violations)
    assert read.details.metadata == {**details.metadata, "request_id": "id"}
    if details.retry_after_seconds is None:
        assert read.details.retry_after_seconds is None
    else:
        assert read.details.retry_after_seconds == pytest.approx(details.retry_after_seconds, abs=1e-6)


@pytest.mark.parametrize("character", ["x", "é", "量", "𝒬"])
def test_a_long_error_is_cut_to_what_every_client_can_read(character: str) -> None:
    violations = [Violation(f"messages[{number}].role", "value must be given") for number in range(1000)]
    status = to_status(InvalidRequest("x" + character * 100_000, Details(violations)), "i" * 64)
    assert status.message.startswith("x" + character * 250)
    assert status.message.endswith(character + " …")
    encoded = len(quote(status.message)) + len(base64.b64encode(status.SerializeToString()))
    assert encoded < 8192
    assert len(from_status(status).details.violations) > 10


def test_one_violation_is_named_however_long_it_is() -> None:
    error = InvalidRequest("bad", Details((Violation("a", "x" * 10_000), Violation("b", "y"))))
    assert [v.field for v in from_status(to_status(error, "id")).details.violations] == ["a"]


def test_details_are_the_well_known_messages() -> None:
    error = InvalidRequest("bad", Details((Violation("a.b", "must be"),), retry_after_seconds=1.5))
    packed = to_status(error, "id").details
    bad, retry = BadRequest(), RetryInfo()
    assert packed[1].Unpack(bad)
    assert packed[2].Unpack(retry)
    assert [(v.field, v.description) for v in bad.field_violations] == [("a.b", "must be")]
    assert retry.retry_delay.ToTimedelta().total_seconds() == 1.5


@pytest.mark.parametrize(
    "info",
    [
        ErrorInfo(reason="OUT_OF_MEMORY", domain="elsewhere"),
        ErrorInfo(reason="NEW", domain="tandem"),
        ErrorInfo(),
    ],
)
def test_what_is_not_tandems_is_an_internal_error(info: ErrorInfo) -> None:
    status = Status(code=8, message="odd")
    status.details.add().Pack(info)
    assert type(from_status(status)) is InternalError
    assert type(from_status(Status(code=3, message="odd"))) is InternalError


# --- errors of a call


def failed(code: grpc.StatusCode, details: str = "", trailing: Any = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details)


def test_a_typed_error_of_a_call() -> None:
    raw = to_status(BackendUnavailable("dead"), "id").SerializeToString()
    error = from_rpc_error(failed(grpc.StatusCode.UNAVAILABLE, "dead", [(DETAILS_KEY, raw)]), "r1-inference")
    assert type(error) is BackendUnavailable
    assert error.message == "dead"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.CANCELLED, Cancelled),
        (grpc.StatusCode.UNAVAILABLE, BackendUnavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, InvalidRequest),
        (grpc.StatusCode.UNIMPLEMENTED, InternalError),
        (grpc.StatusCode.UNKNOWN, InternalError),
    ],
)
def test_a_bare_error_of_a_call(code: grpc.StatusCode, kind: type[TandemError]) -> None:
    error = from_rpc_error(failed(code, "why"), "r1-inference")
    assert type(error) is kind
    assert error.message == "r1-inference: why"
    assert from_rpc_error(failed(code), "fusion").message == f"fusion: {code.name}"


def test_details_that_cannot_be_read_leave_the_code() -> None:
    broken = failed(grpc.StatusCode.UNAVAILABLE, "why", [(DETAILS_KEY, b"\xff\xff\xff")])
    assert type(from_rpc_error(broken, "proxy")) is BackendUnavailable
