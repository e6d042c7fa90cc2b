"""What a text quotes. An engine's error may quote the request, and what people say is in no log."""

from __future__ import annotations

import re
from typing import Final

ELSE: Final = "…"
"""Stands for what was quoted."""

_QUOTED: Final = re.compile(r"""(?i)(?<!\w)[bruf]{0,2}(['"`])(?:\\.|(?!\1)[^\\\n])*\1(?!\w)""")
"""A quotation, also one of bytes as Python writes them; the apostrophe of "can't" begins none."""


def without_quotations(text: str) -> str:
    """Return a text with each quotation replaced.

    Everything that quotes a request does so with Python's or JSON's own quoting, which a text cannot break out of.
    """
    return _QUOTED.sub(ELSE, text)
