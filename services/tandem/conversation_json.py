"""Conversations as JSON: what people write into files, and what a ledger keeps of a prompt if it is told to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tandem.v1 import types_pb2

ROLES: Final = {
    "system": types_pb2.ROLE_SYSTEM,
    "user": types_pb2.ROLE_USER,
    "assistant": types_pb2.ROLE_ASSISTANT,
}
_NAMES: Final = {role: name for name, role in ROLES.items()}


def from_json(value: Any) -> list[types_pb2.Message]:
    """Return the messages of `[{"role": "user", "text": "…"}, …]`; `content` may stand for `text`.

    What no UTF-8 can hold becomes U+FFFD.

    Raises:
        ValueError: it has another form; the message says what is expected.
        TypeError: likewise.
    """
    if not isinstance(value, list) or not value:
        raise ValueError('messages must be a list such as [{"role": "user", "text": "…"}]')
    return [_message(each) for each in value]


def _message(value: Any) -> types_pb2.Message:
    role = value.get("role") if isinstance(value, dict) else None
    if role not in ROLES:
        raise ValueError(f"a message needs a role, one of {', '.join(ROLES)} (got {value!r:.80})")
    text = value.get("text", value.get("content"))
    if not isinstance(text, str):
        raise TypeError(f"a message needs text (got {value!r:.80})")
    return types_pb2.Message(role=ROLES[role], parts=[types_pb2.Part(text=_encodable(text))])


def _encodable(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def to_json(messages: Iterable[types_pb2.Message]) -> list[dict[str, str]]:
    """Return the text of messages in the form that `from_json` reads; pictures and recordings are left out."""
    return [
        {
            "role": _NAMES[message.role],
            "text": "\n".join(part.text for part in message.parts if part.HasField("text")),
        }
        for message in messages
    ]
