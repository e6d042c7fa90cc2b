"""What the tests of this folder say to the simulator and read from answers and errors."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

from tandem.client import Event, user
from tandem.v1 import orchestrator_pb2, types_pb2

Request = orchestrator_pb2.GenerateRequest
R1: Final = types_pb2.Target(tier="r1", variant="fp16")
R1_INT8: Final = types_pb2.Target(tier="r1", variant="int8")
PRO: Final = types_pb2.Target(tier="pro", variant="fp16")
SYSTEM_TURN: Final = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
)


def sim(model: str = "", /, **settings: object) -> str:
    """Return a directive for one model of the simulator, or for all."""
    escaped = {
        key: str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for key, value in settings.items()
    }
    words = [f"[[sim:{model}" if model else "[[sim", *(f'{key}="{value}"' for key, value in escaped.items())]
    return f"{' '.join(words)}]]"


def default_text(tokens: int) -> str:
    """Return what the simulator says when it is told only how many tokens to make."""
    names = {5: "量子", 11: "🙂"}
    return " ".join(names.get(i % 16, f"t{i}" + ("." if i % 8 == 7 else "")) for i in range(tokens))


def input_tokens(prompt: str) -> int:
    """Return how many tokens the simulator counts in a question without a system message."""
    rendered = f"{SYSTEM_TURN}<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    return len(rendered) // 4


def question(prompt: str, **fields: Any) -> Request:
    """Return a request that neither reads nor fills the cache."""
    return Request(messages=[user(prompt)], **{"no_cache": True, **fields})


def joined(events: Iterable[Event], kind: str = "text") -> str:
    """Return the deltas of one kind, joined."""
    return "".join(getattr(event, kind).delta for event in events if event.HasField(kind))  # type: ignore[arg-type]  # one of the fields


def kinds(events: Iterable[Event]) -> list[str]:
    """Return the kinds of events in order, neighbours of the same kind taken together."""
    found: list[str] = []
    for event in events:
        kind = event.WhichOneof("event") or ""
        if found[-1:] != [kind]:
            found.append(kind)
    return found


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as any gRPC client sees it."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    metadata: dict[str, str]
    violations: dict[str, str]
    """Description by field."""
    retry_seconds: float | None


def decode(error: grpc.aio.AioRpcError) -> Failure:
    """Read the details that travel with a status."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an AioRpcError has what it reads
    info, bad, retry = ErrorInfo(), BadRequest(), None
    for detail in status.details if status else ():
        detail.Unpack(info)
        detail.Unpack(bad)
        if detail.Is(RetryInfo.DESCRIPTOR):
            wait = RetryInfo()
            detail.Unpack(wait)
            retry = wait.retry_delay.ToMilliseconds() / 1000.0
    violations = {violation.field: violation.description for violation in bad.field_violations}
    return Failure(
        error.code(), error.details() or "", info.reason, info.domain, dict(info.metadata), violations, retry
    )


async def failure(call: Awaitable[object]) -> Failure:
    """Return how a call fails that has to fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return decode(caught.value)


async def collected(stream: grpc.aio.UnaryStreamCall[Any, Event]) -> list[Event]:
    """Return all events of a stream."""
    return [event async for event in stream]
