"""What Triton's error texts mean. One table; the first row that matches decides."""

from __future__ import annotations

import re
from typing import Final

from tandem.errors import BackendError, BackendUnavailable, OutOfMemory, PromptTooLong, TandemError

ROWS: Final[tuple[tuple[re.Pattern[str], type[TandemError]], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (
            r"out of memory|outofmemory|can(no|')t allocate memory|failed to allocate|bad_alloc|alloc_failed|\bOOM\b",
            OutOfMemory,
        ),
        (
            r"prompt has \d+ tokens|longer than the maximum model length|maximum context length|context size",
            PromptTooLong,
        ),
        (
            r"stub process .*(not healthy|exited|unhealthy)|not ready|unavailable|is not found|unknown model",
            BackendUnavailable,
        ),
        (
            r"shutting down|server exiting|is unloading|stopped accepting|maximum queue size",
            BackendUnavailable,
        ),
        (r"(engine|background loop) is not running|engine ?dead", BackendUnavailable),
    )
)


def read_failure(model: str, message: str) -> TandemError:
    """Return the error that a text of Triton's stands for; BackendError where no row matches."""
    for pattern, kind in ROWS:
        if pattern.search(message):
            return kind(f"{model}: {message}")
    return BackendError(f"{model}: {message}")
