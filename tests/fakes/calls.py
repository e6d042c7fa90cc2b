"""Calls and questions for tests."""

from __future__ import annotations

from tandem.call import Call
from tandem.clock import now
from tandem.v1 import orchestrator_pb2, types_pb2


def call(
    seconds: float = 10.0,
    *,
    request_id: str = "test",
    tenant: str = "anonymous",
    retries_left: int | None = None,
) -> Call:
    """Return a call that starts now."""
    arrived = now()
    return Call(request_id, arrived + seconds, arrived, tenant, retries_left)


def user(text: str = "why?") -> types_pb2.Message:
    """Return a message of the user."""
    return types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text=text)])


def image(data: bytes = b"\x89PNG") -> types_pb2.Message:
    """Return a message of the user that is a picture."""
    picture = types_pb2.Image(data=data, media_type="image/png")
    return types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(image=picture)])


def question(text: str = "why?") -> orchestrator_pb2.GenerateRequest:
    """Return a question that leaves everything open."""
    return orchestrator_pb2.GenerateRequest(messages=[user(text)])
