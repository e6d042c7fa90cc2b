"""What the two steps of a cascade are asked: the conversation, with an instruction or with a draft to refine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tandem.orchestrator.cascade_policy import DRAFT
from tandem.v1 import types_pb2

MOST_MESSAGES: Final = 256
MOST_PARTS: Final = 64
MOST_BYTES: Final = 1024 * 1024
"""What the contract allows of a prompt; a part is no longer than this."""

Messages = list[types_pb2.Message]


def with_instruction(messages: Sequence[types_pb2.Message], instruction: str) -> Messages:
    """Return the conversation with an instruction: behind the system message if there is one, else as one.

    Where the contract leaves no room for it, the conversation stays as it is.
    """
    copied = _copied(messages)
    if copied[0].role != types_pb2.ROLE_SYSTEM:
        if len(copied) < MOST_MESSAGES:
            copied.insert(0, types_pb2.Message(role=types_pb2.ROLE_SYSTEM))
            copied[0].parts.add(text=instruction)
    elif len(copied[0].parts) < MOST_PARTS:
        copied[0].parts.add(text=f"\n\n{instruction}")
    return copied


def with_draft(messages: Sequence[types_pb2.Message], template: str, draft: str) -> Messages | None:
    """Return the conversation with a draft to refine behind the question; None: the contract leaves no room for it."""
    text = f"\n\n{template.replace(DRAFT, draft)}"
    if len(messages[-1].parts) >= MOST_PARTS or len(text.encode()) > MOST_BYTES:
        return None
    copied = _copied(messages)
    copied[-1].parts.add(text=text)
    return copied


def _copied(messages: Sequence[types_pb2.Message]) -> Messages:
    copied = []
    for message in messages:
        copied.append(types_pb2.Message())
        copied[-1].CopyFrom(message)
    return copied
