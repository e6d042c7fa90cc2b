"""`TandemError` ↔ `google.rpc.Status`, on both sides of the wire."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final, NoReturn

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from tandem.errors import (
    BY_REASON,
    DOMAIN,
    BackendUnavailable,
    Cancelled,
    DeadlineExceeded,
    Details,
    InternalError,
    InvalidRequest,
    TandemError,
    Violation,
)

DETAILS_KEY: Final = "grpc-status-details-bin"
REASON_KEY: Final = "tandem-reason"
"""The reason once more, for proxies, which read no details."""
# A client drops trailers of more than 8 KiB and shows nothing of the error. The message is in them twice, once with
# three characters for each byte that is not ASCII.
MESSAGE_BYTES: Final = 1024
VIOLATIONS_BYTES: Final = 2048

GRPC_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def to_status(error: TandemError, request_id: str) -> Status:
    """Return the status message of an error, with the request's identifier among the error's metadata.

    A long message and a long list of violations are cut, so that every client can read the rest.
    """
    status = Status(code=int(error.code), message=_cut(error.message))
    metadata = {**error.details.metadata, "request_id": request_id}
    status.details.add().Pack(ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    if error.details.violations:
        violations = [
            BadRequest.FieldViolation(field=v.field, description=v.description)
            for v in _first(error.details.violations)
        ]
        status.details.add().Pack(BadRequest(field_violations=violations))
    if error.details.quotas:
        quotas = [
            QuotaFailure.Violation(subject=q.field, description=q.description) for q in error.details.quotas
        ]
        status.details.add().Pack(QuotaFailure(violations=quotas))
    if error.details.retry_after_seconds is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.details.retry_after_seconds * 1e9))
        status.details.add().Pack(RetryInfo(retry_delay=delay))
    return status


def _cut(text: str) -> str:
    raw = text.encode()
    return text if len(raw) <= MESSAGE_BYTES else raw[:MESSAGE_BYTES].decode(errors="ignore") + " …"


def _first(violations: Iterable[Violation]) -> Iterable[Violation]:
    """Yield as many violations as there is room for, at least one."""
    room = VIOLATIONS_BYTES
    for violation in violations:
        yield violation
        room -= len(violation.field.encode()) + len(violation.description.encode())
        if room <= 0:
            return


async def abort(
    context: grpc.aio.ServicerContext[object, object], error: TandemError, request_id: str
) -> NoReturn:
    """End the RPC with an error."""
    status = to_status(error, request_id)
    # abort_with_status would make instrumentation record status 0.
    await context.abort(
        GRPC_CODES[status.code],
        status.message,
        trailing_metadata=((DETAILS_KEY, status.SerializeToString()), (REASON_KEY, error.reason)),
    )


def from_status(status: Status) -> TandemError:
    """Return the error that a status message stands for; a status without Tandem's ErrorInfo is an InternalError."""
    info, violations, quotas, retry_after = ErrorInfo(), [], [], None
    for detail in status.details:
        if detail.Is(ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(BadRequest.DESCRIPTOR):
            bad = BadRequest()
            detail.Unpack(bad)
            violations = [Violation(v.field, v.description) for v in bad.field_violations]
        elif detail.Is(QuotaFailure.DESCRIPTOR):
            exceeded = QuotaFailure()
            detail.Unpack(exceeded)
            quotas = [Violation(v.subject, v.description) for v in exceeded.violations]
        elif detail.Is(RetryInfo.DESCRIPTOR):
            retry = RetryInfo()
            detail.Unpack(retry)
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    known = BY_REASON.get(info.reason) if info.domain == DOMAIN else None
    return (known or InternalError)(
        status.message, Details(violations, quotas, retry_after, dict(info.metadata))
    )


_BARE: Final[dict[grpc.StatusCode, type[TandemError]]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNAVAILABLE: BackendUnavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: InvalidRequest,
}
"""Statuses that gRPC itself makes, without details. It answers RESOURCE_EXHAUSTED when a message is too large."""


def from_rpc_error(error: grpc.aio.AioRpcError, peer: str) -> TandemError:
    """Return the error that a failed call to `peer` stands for."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            with contextlib.suppress(DecodeError):
                return from_status(Status.FromString(value))
    kind = _BARE.get(error.code(), InternalError)
    return kind(f"{peer}: {error.details() or error.code().name}")
