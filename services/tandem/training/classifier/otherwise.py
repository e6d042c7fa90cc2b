"""Says a question a little differently: what is learned must not turn on manners, blanks and case."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from tandem.training.classifier.generated import read_templates

SEED: Final = 1
_CHANGES: Final = 5


def otherwise(texts: Sequence[str], languages: Sequence[str]) -> list[str]:
    """Return each text with words of courtesy around it, or other blanks, or in lower case; the same at every call."""
    draw = random.Random(SEED)  # noqa: S311  # chance that can be repeated
    manners = read_templates("manners.yaml")
    return [_one(text, manners[language], draw) for text, language in zip(texts, languages, strict=True)]


def _one(text: str, manners: dict[str, list[str]], draw: random.Random) -> str:
    before, after = draw.choice(manners["before"]), draw.choice(manners["after"])
    change = draw.randrange(_CHANGES)
    if change == 0:
        return f"{before}{text}"
    if change == 1:
        return f"{text}{after}"
    if change == 2:
        return f"{before}{text}{after}"
    if change == 3:
        return text.lower()
    return text.replace(" ", "  ") if draw.random() < 0.5 else f" {text}\n\n"
