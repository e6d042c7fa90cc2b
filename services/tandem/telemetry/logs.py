"""Structured logs: one JSON object per line, or a form for people."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Literal, TextIO, cast

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


NEVER_LEFT_OUT: Final = frozenset(("request", "attempt"))
"""The events that tell of one request or attempt: one line for each."""
MOST_REPEATS: Final = 10
"""Lines of one event that are written in one window; the others are counted."""
WINDOW_SECONDS: Final = 10.0

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "exception": 40, "critical": 50}
_trace_id: ContextVar[str] = ContextVar("trace_id", default="")


def set_trace_id(trace_id: str) -> None:
    """Put the identifier of a trace into all lines that the running request writes; empty: into none."""
    _trace_id.set(trace_id)


@dataclass(slots=True)
class _Window:
    """Lines of one event in a span of time."""

    ends: float
    lines: int = 0
    left_out: int = 0


@dataclass(slots=True)
class _Filter:
    """Decides which lines are written."""

    level: int = 20
    usual: int = 20
    windows: dict[tuple[str, str, str], _Window] = field(default_factory=dict)

    def by_level(self, _: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Leave out what is less severe than is asked for."""
        if _LEVELS[method] < self.level:
            raise structlog.DropEvent
        return event

    def by_repetition(
        self, _: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Leave out what says the same again and again; the next line that is written tells how often."""
        if event["event"] in NEVER_LEFT_OUT:
            return event
        key, at = (event.get("component", ""), method, event["event"]), monotonic()
        window = self.windows.get(key)
        if window is None or at >= window.ends:
            if window is not None and window.left_out:
                event["left_out"] = window.left_out
            self.windows[key] = window = _Window(at + WINDOW_SECONDS)
        window.lines += 1
        if window.lines > MOST_REPEATS:
            window.left_out += 1
            raise structlog.DropEvent
        return event


class _Unfailing:
    """Standard error, for whom to write cannot fail: that a line is lost must fail no request."""

    def write(self, text: str) -> int:
        """Write a line, unless its reader is gone, its disk is full, or a signal came while another was written."""
        with suppress(OSError, RuntimeError, ValueError):
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        """Have it written."""
        with suppress(OSError, RuntimeError, ValueError):
            sys.stderr.flush()


_filter = _Filter()


def _add_trace_id(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    trace_id = _trace_id.get()
    if trace_id:
        event["trace_id"] = trace_id
    return event


def is_written(level: LogLevel) -> bool:
    """Return whether lines of a level are written now: what makes one for every request need not make it in vain."""
    return _LEVELS[level] >= _filter.level


def toggle_debug() -> None:
    """Log everything from now on; or, when that is so, what was configured."""
    _filter.level = _filter.usual if is_written("debug") else _LEVELS["debug"]
    logger("logs").warning("log level", now="debug" if is_written("debug") else "as configured")


def configure(log_format: LogFormat, level: LogLevel) -> None:
    """Send the logs of this process to standard error in the given form, from the given level upwards.

    SIGUSR1 switches to debug and back (docs/operations/logs.md).
    """
    _filter.level = _filter.usual = _LEVELS[level]
    _filter.windows.clear()
    signal.signal(signal.SIGUSR1, lambda *_: toggle_debug())
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_encode)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            _filter.by_level,
            _filter.by_repetition,
            _add_trace_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _round_floats,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Unfailing())),
        cache_logger_on_first_use=True,
    )


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a module; `name` is the component that speaks."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=name)
    return bound
