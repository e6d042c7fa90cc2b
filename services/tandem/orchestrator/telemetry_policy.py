"""The part of the policy that says what telemetry may tell of what people and models say: by itself nothing."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field

from tandem.orchestrator.routing_policy import TenantName
from tandem.telemetry.redaction import Redaction
from tandem.yaml_document import Section


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class Content(Section):
    """Whose prompts and answers traces have, and what is blotted out of them."""

    tenants: tuple[TenantName, ...] = Field(default=(), max_length=1000)
    """These tenants' prompts and answers are in traces, redacted. Empty: nobody's."""
    redact: tuple[Pattern, ...] = Field(default=(), max_length=64)
    """Regular expressions of what else is blotted out, beside mail addresses, telephone and card numbers, and keys."""

    @cached_property
    def redaction(self) -> Redaction:
        """What blots it out."""
        return Redaction(self.redact)


class Telemetry(Section):
    """What telemetry may tell."""

    content: Content = Content()
    """Whose prompts and answers traces have."""
