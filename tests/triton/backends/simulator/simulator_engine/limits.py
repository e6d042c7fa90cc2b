"""Limits: what a request's sampling parameters say about where an answer ends."""

from __future__ import annotations

import json
from dataclasses import dataclass


class LimitsError(ValueError):
    """The sampling parameters could not be understood; the message says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where an answer ends before its own end."""

    max_tokens: int | None = None
    """Most tokens to make; None sets no limit."""
    stop: tuple[str, ...] = ()
    """Texts at which the answer ends; they are not part of it."""


def read_limits(sampling_parameters: str) -> Limits:
    """Read the limits from JSON. Raises LimitsError saying what is wrong; the rest of the parameters is ignored."""
    try:
        given = json.loads(sampling_parameters)
    except json.JSONDecodeError as error:
        raise LimitsError(f"sampling_parameters is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise LimitsError("sampling_parameters must be a JSON object")
    max_tokens, stop = given.get("max_tokens"), given.get("stop") or []
    if max_tokens is not None and (not isinstance(max_tokens, int) or max_tokens < 1):
        raise LimitsError(f"max_tokens is {max_tokens!r} and must be a whole number of at least 1")
    if not isinstance(stop, list) or not all(isinstance(word, str) and word for word in stop):
        raise LimitsError(f"stop is {stop!r} and must be a list of texts that are not empty")
    return Limits(max_tokens, tuple(stop))
