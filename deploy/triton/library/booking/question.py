"""A question for a receipt: a request whose sampling parameters name another request."""

from __future__ import annotations

import json
from typing import Final

PARAMETER: Final = "tandem_receipt"
"""Sampling parameter that makes a request such a question; its value is the other request's identifier."""


def asked_for(sampling_parameters: bytes) -> str | None:
    """Return whose receipt is asked for, or None if the request is no such question."""
    if PARAMETER.encode() not in sampling_parameters:
        return None
    try:
        given = json.loads(sampling_parameters)
    except ValueError:
        return None
    asked = given.get(PARAMETER) if isinstance(given, dict) else None
    return asked if isinstance(asked, str) else None
