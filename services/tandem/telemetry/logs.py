"""Structured logs: one JSON object per line, or a form for people."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import structlog

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


def _encode(event: Mapping[str, Any], **_: object) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)


def _round_floats(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, float):
            event[key] = round(value, 3)
    return event


def configure(log_format: LogFormat, level: LogLevel) -> None:
    """Send the logs of this process to standard error in the given form, from the given level upwards."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_encode)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _round_floats,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a module; `name` is the component that speaks."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=name)
    return bound
