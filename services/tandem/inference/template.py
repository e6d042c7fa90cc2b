"""Messages → prompt text, by the chat template of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tandem.errors import InvalidRequest
from tandem.v1 import types_pb2

_ROLES = {types_pb2.ROLE_SYSTEM: "system", types_pb2.ROLE_USER: "user", types_pb2.ROLE_ASSISTANT: "assistant"}


def _refuse(message: str) -> str:
    raise InvalidRequest(f"the model's chat template refuses these messages: {message}")


class ChatTemplate:
    """A compiled chat template; `source` is Jinja, as model files carry it."""

    def __init__(self, source: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
        )
        environment.globals["raise_exception"] = _refuse
        self._template = environment.from_string(source)
        # Jinja makes it a chain of two, which takes ten times as long to copy, and every rendering copies it.
        self._template.globals = dict(self._template.globals)

    def render(self, messages: Sequence[types_pb2.Message]) -> str:
        """Return the prompt, ending where the answer begins.

        Raises:
            InvalidRequest: the template does not accept the messages.
        """
        turns = [
            {"role": _ROLES[m.role], "content": "".join([part.text for part in m.parts[:]])}
            for m in messages[:]
        ]
        return self._template.render(messages=turns, add_generation_prompt=True)
