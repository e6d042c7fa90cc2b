"""What people and models said, as OpenTelemetry's conventions want it in spans, redacted; only for who opted in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from tandem.orchestrator.telemetry_policy import Content
from tandem.v1 import types_pb2

MOST_CHARACTERS: Final = 32_768
"""Of one text; what follows is left out."""
MOST_OF_ALL: Final = 262_144
"""Of the texts of one conversation, the latest; a collector takes 4 MiB at a time."""
BEYOND: Final = 256
"""Characters more that are looked at: what is secret may lie across the place where a text is cut."""
_ROLES: Final = {
    types_pb2.ROLE_SYSTEM: "system",
    types_pb2.ROLE_USER: "user",
    types_pb2.ROLE_ASSISTANT: "assistant",
}


class Captured:
    """What was said in one request whose tenant opted in.

    Args:
        content: the policy's word on it.
        messages: the conversation.
    """

    def __init__(self, content: Content, messages: Sequence[types_pb2.Message]) -> None:
        self._redact = content.redaction
        self._messages = list(messages)
        self.size = sum(message.ByteSize() for message in self._messages)
        """About how many bytes it holds."""

    def asked(self) -> str:
        """Return the conversation as JSON; pictures and recordings are named, not shown."""
        room, turns = MOST_OF_ALL, []
        for message in reversed(self._messages):
            parts = []
            for part in reversed(message.parts):
                parts.append(self._part(part, min(room, MOST_CHARACTERS)))
                room = max(0, room - len(part.text))
            turns.append({"role": _ROLES[message.role], "parts": parts[::-1]})
        return _json(turns[::-1])

    def answered(self, answer: types_pb2.Answer, finish_reason: str) -> str:
        """Return the answer as JSON."""
        parts = [{"type": "reasoning", "content": self._text(answer.reasoning)}] if answer.reasoning else []
        parts.append({"type": "text", "content": self._text(answer.text)})
        return _json([{"role": "assistant", "parts": parts, "finish_reason": finish_reason}])

    def _part(self, part: types_pb2.Part, most: int) -> dict[str, str]:
        if part.HasField("text"):
            return {"type": "text", "content": self._text(part.text, most)}
        return {"type": part.WhichOneof("content") or "unknown"}

    def _text(self, text: str, most: int = MOST_CHARACTERS) -> str:
        looked_at = text[: most + BEYOND]
        shown = self._redact(looked_at)
        return shown[: max(0, len(shown) - max(0, len(looked_at) - most))] if most else ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
