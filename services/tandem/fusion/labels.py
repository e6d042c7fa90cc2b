"""Finds which of the allowed labels an answer names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

_NEGATED: Final = re.compile(r"(?:\bnot|\bisn't|\brather than|不是|并非|而非)\s*[\"'“‘]?$")


def named_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the label that a text names last, negated ones left out; None if it names none.

    Case and Unicode's compatibility forms make no difference, and a longer label hides a shorter one within it:
    `very negative` does not name `negative`. The label comes back as it was given.
    """
    by_form = {_folded(label): label for label in reversed(labels)}
    forms = sorted((form for form in by_form if form), key=len, reverse=True)
    if not forms:
        return None
    folded = _folded(text)
    pattern = re.compile("|".join(map(_bounded, forms)))
    named = None
    for found in pattern.finditer(folded):
        if not _NEGATED.search(folded, max(0, found.start() - 20), found.start()):
            named = by_form[found[0]]
    return named


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _bounded(form: str) -> str:
    """Return the pattern of a form that begins and ends at the border of a word, where its script has borders."""
    before = r"(?<![a-z0-9_])" if re.match("[a-z0-9_]", form) else ""
    after = r"(?![a-z0-9_])" if re.search("[a-z0-9_]$", form) else ""
    return f"{before}{re.escape(form)}{after}"
