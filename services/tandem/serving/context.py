"""The `Call` of the running RPC: read from gRPC metadata on the way in, written to it on the way out."""

from __future__ import annotations

import math
import os
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

import grpc.aio

from tandem.call import NAME, Call
from tandem.clock import now
from tandem.errors import Details, InvalidRequest, Violation
from tandem.serving.authentication import Authenticator
from tandem.telemetry.logs import set_trace_id
from tandem.telemetry.trace import Begin, trace_id_of

TENANT: Final = "tandem-tenant"
REQUEST_ID: Final = "tandem-request-id"
RETRIES_LEFT: Final = "tandem-retries-left"
AUTHORIZATION: Final = "authorization"
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
MAX_RETRIES: Final = 8

_NAME: Final = re.compile(NAME)
_current: ContextVar[Call] = ContextVar("call")


@dataclass(frozen=True, slots=True)
class DeadlineRule:
    """How long a request may take: the default where the client names no deadline, and the most it may ask for."""

    default_seconds: float
    max_seconds: float


def current_call() -> Call:
    """Return the call of the running RPC."""
    return _current.get()


def enter(call: Call) -> None:
    """Make `call` that of the running RPC."""
    _current.set(call)
    set_trace_id(call.trace_id)


def _named(metadata: dict[str, str], key: str, absent: str) -> str:
    value = metadata.get(key, absent)
    if not _NAME.fullmatch(value):
        raise InvalidRequest(
            f"metadata {key} must be 1 to 64 characters of [A-Za-z0-9._-]; send such a value, or none",
            Details((Violation(key, "must be 1 to 64 characters of [A-Za-z0-9._-]"),)),
        )
    return value


def _tenant(metadata: dict[str, str], authenticator: Authenticator | None) -> str:
    """Return on whose behalf a request comes: where there are API keys, its key says that and nothing else."""
    if authenticator is None:
        return _named(metadata, TENANT, "anonymous")
    tenant = authenticator.tenant(metadata.get(AUTHORIZATION))
    if metadata.get(TENANT, tenant) != tenant:
        raise InvalidRequest(
            f"metadata {TENANT} names another tenant than the API key, which is that of {tenant}; leave it out, or "
            "send the key of the tenant that it names",
            Details((Violation(TENANT, f"must be absent or {tenant}, the tenant of the API key"),)),
        )
    return tenant


def _retries(metadata: dict[str, str]) -> int | None:
    value = metadata.get(RETRIES_LEFT)
    if value is None:
        return None
    if not value.isdecimal() or len(value) > 2 or int(value) > MAX_RETRIES:
        raise InvalidRequest(
            f"metadata {RETRIES_LEFT} must be a whole number from 0 to {MAX_RETRIES}",
            Details((Violation(RETRIES_LEFT, f"must be a whole number from 0 to {MAX_RETRIES}"),)),
        )
    return int(value)


def _new_id() -> str:
    """Return an identifier that no other request has."""
    return os.urandom(16).hex()


def anonymous_call(deadline: DeadlineRule) -> Call:
    """Return the call of a request whose metadata cannot be read."""
    arrived = now()
    return Call(_new_id(), arrived + deadline.default_seconds, arrived)


def _granted(remaining: float) -> float:
    """Return the seconds that the client surely waits.

    gRPC's core rounds a timeout up before it sends it: to 1 ms, from 1 s on to 10 ms, from 10 s on to 100 ms, from
    100 s on to 1 s. An answer that comes within what was added comes too late.
    """
    if remaining < 1.0:
        return remaining - 0.001
    return remaining - 10.0 ** (math.floor(math.log10(remaining)) - 2)


def read_call(
    context: grpc.aio.ServicerContext[object, object],
    deadline: DeadlineRule,
    authenticator: Authenticator | None = None,
    begin: Begin | None = None,
) -> Call:
    """Return the call that an RPC's metadata and deadline describe.

    Without an authenticator the client is believed whatever tenant it names. Without `begin` nothing is traced here,
    and a client's trace context goes on as it came; one that is not valid ends here, as W3C wants it.

    Raises:
        UnknownApiKey: the authenticator does not know the request's key.
        InvalidRequest: a metadata value breaks its rule.
    """
    arrived = now()
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    tenant = _tenant(metadata, authenticator)
    remaining = context.time_remaining()
    seconds = (
        deadline.default_seconds if remaining is None else min(_granted(remaining), deadline.max_seconds)
    )
    traceparent, tracestate = metadata.get(TRACEPARENT, ""), metadata.get(TRACESTATE, "")
    if traceparent and not trace_id_of(traceparent):
        traceparent = tracestate = ""
    trace = begin(traceparent, tracestate) if begin else None
    return Call(
        request_id=_named(metadata, REQUEST_ID, "") if REQUEST_ID in metadata else _new_id(),
        deadline=arrived + seconds,
        started=arrived,
        tenant=tenant,
        retries_left=_retries(metadata),
        traceparent=trace.traceparent() if trace else traceparent,
        tracestate=trace.state if trace else tracestate,
        trace=trace,
    )


def write_metadata(call: Call) -> list[tuple[str, str]]:
    """Return the metadata that carries `call` to the next service."""
    metadata = [(REQUEST_ID, call.request_id), (TENANT, call.tenant)]
    if call.retries_left is not None:
        metadata.append((RETRIES_LEFT, str(call.retries_left)))
    if call.traceparent:
        metadata.append((TRACEPARENT, call.traceparent))
    if call.tracestate:
        metadata.append((TRACESTATE, call.tracestate))
    return metadata
