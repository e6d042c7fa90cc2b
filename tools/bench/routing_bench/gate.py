"""The release gate: what was reached before must not get worse than chance explains."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from routing_bench.row import Row


class BaselineUnusable(Exception):
    """There is nothing to compare with; the message says why and what to do."""


def regressions(rows: Sequence[Row], committed: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each row that got worse beyond noise, or is gone.

    Noise is the committed row's own interval: a value beyond its worse end is a regression. What depends on the
    machine, and what has no noise, as a size, is held to its bar alone.
    """
    now = {row.name: row for row in rows}
    problems = []
    for before in committed:
        name = before["name"]
        row = now.get(name)
        if row is None:
            problems.append(f"{name}: was measured before, and is not now")
        elif row.timed or before["low"] == before["high"]:
            if row.met is False:
                problems.append(f"{name}: {row.value:.3f}, and the bar is {row.bar}")
        elif row.smaller and row.value > before["high"]:
            problems.append(f"{name}: {row.value:.4f}, was {before['value']} and at most {before['high']}")
        elif not row.smaller and not row.value >= before["low"]:
            problems.append(f"{name}: {row.value:.4f}, was {before['value']} and at least {before['low']}")
    return problems


def read(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a committed file.

    Raises:
        BaselineUnusable: it is not there, or no output of --json.
    """
    try:
        found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["rows"]
    except OSError as error:
        raise BaselineUnusable(f"{file} cannot be read: {error.strerror}; write it with --json") from None
    except (ValueError, KeyError, TypeError):
        raise BaselineUnusable(f"{file} is no output of --json of this bench; write it with --json") from None
    return found
