"""Reads answers that have a structure: JSON values and sets of items."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, Final

MOST_CHARACTERS: Final = 200_000
"""Longest JSON value that is read."""
_FENCED: Final = re.compile(r"```[a-zA-Z0-9+#-]{0,20}\s*\n(.*?)```", re.DOTALL)
_BETWEEN: Final = re.compile(r"[,;，；、\n]| and | or | & |和|与|以及|及")
_BULLET: Final = re.compile(r"^\s*(?:[-*•·]|\(?[0-9]{1,3}[.)、])\s*")
_AROUND: Final = " \t\r\"'“”‘’`()[]{}.。:：*_"
_LEAD: Final = re.compile(r"^[^,;，；、\n]{0,80}[:：]\s*(?=\S)")


def json_value(text: str) -> str | None:
    """Return the one form of the JSON object or array that a text is, or has in its last fence; else None.

    The order of keys, white space and whether a whole number is written `1` or `1.0` make no difference.
    """
    for part in (*reversed(fenced(text)), text.strip()):
        if 2 <= len(part) <= MOST_CHARACTERS and part[0] in "[{" and part[-1] in "]}":
            try:
                value = json.loads(part, parse_constant=str)
                return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            except (ValueError, RecursionError):
                continue
    return None


def items(text: str) -> str | None:
    """Return the items of a list, each once and in the order of the alphabet, between ` | `; None if there are none.

    Items stand between commas, semicolons, line ends, `and`, `和`; a lead such as `The colours are:` is left out.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    plain = _LEAD.sub("", plain, count=1).strip("[]{}")
    parts = (_BULLET.sub("", part).strip(_AROUND).casefold() for part in _BETWEEN.split(plain))
    found = sorted({" ".join(part.split()) for part in parts if part})
    return " | ".join(found) or None


def fenced(text: str) -> list[str]:
    """Return what stands in fences of three backticks, stripped."""
    return [found.strip() for found in _FENCED.findall(text)]


def _plain(value: Any) -> Any:
    """Return a JSON value in which numbers that are equal are written alike."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
