"""Keeps Python's garbage collector from stopping the event loop."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (10_000, 20, 20)
"""New objects before the youngest are looked at, and how often that is done before older ones are: a request makes
hundreds, hardly one of which lies in a circle, so that looking every 700 finds nothing."""


def ignore_what_exists() -> None:
    """Take everything that exists now out of the collector's sight; call it once, before the first request.

    A full collection looks at all objects, and libraries and code alone are some 130,000: the loop stands still for
    50 to 190 ms, several times a minute under load, which is longer than any margin of a deadline. What the start has
    made stays to the end anyway.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
