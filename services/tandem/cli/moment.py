"""Moments as users write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import typer

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE: Final = re.compile(r"(\d{1,9})([smhdw])")


def parse_moment(text: str | datetime, now: datetime | None = None) -> datetime:
    """Return the moment that `15m`, `2h` or `7d` before now was, or that an ISO 8601 time names (UTC by default)."""
    if isinstance(text, datetime):
        return text
    age = _AGE.fullmatch(text)
    try:
        if age:
            return (now or datetime.now(UTC)) - timedelta(**{UNITS[age[2]]: int(age[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is neither an age (15m, 2h, 7d) nor a time (2026-11-24T09:30, 2026-11-24)"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
