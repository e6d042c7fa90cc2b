"""Blots out of a text what is nobody's business: addresses, numbers and keys."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

BLOT: Final = "[redacted]"

ALWAYS: Final = (
    r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++",
    r"\b(?:sk|pk|tdm|ghp|gho|xox[abpr]|AKIA|AIza|eyJ)[\w.-]{12,}",
    (
        r"(?i)\b(?:api[_-]?key|token|secret|password|bearer)\b"
        r"(?:[\"' ]*+[:=][\"' ]*+|[\"']*+ [\"' ]*+)[^\s\"',;]{6,}"
    ),
    r"(?<![\w.])(?:\d[ -]?){12,18}\d(?![\w.])",
    r"(?<![\w.])(?=\+?\d(?:[ ./()-]*+\d){8})\+?\d{1,3}[ ./-]?(?:\(\d{1,5}\)|\d{2,5})(?:[ ./-]?\d{2,5}){2,4}(?![\w])",
)
"""E-mail addresses; keys of well-known forms; whatever is called a key, token or password; card and account numbers;
telephone numbers.

Nothing else of the process runs while one is looked for, so none of them may look at a part of a text again and again:
what repeats gives nothing back (`++`), or is repeated a few times only.
"""


class Redaction:
    """Blots out what one of the patterns matches.

    Args:
        more: regular expressions beside those that always hold.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._patterns = [re.compile(pattern) for pattern in (*ALWAYS, *more)]

    def __call__(self, text: str) -> str:
        """Return the text without them."""
        for pattern in self._patterns:
            text = pattern.sub(BLOT, text)
        return text
