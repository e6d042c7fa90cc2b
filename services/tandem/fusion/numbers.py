"""Reads a number the way people write it: `1,234.50`, `3/4`, `50 %`, `$20`, `12 km`, `百分之五`.

The text must be in lower case and in Unicode's compatibility form, so that full-width digits are ordinary ones.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from tandem.fusion.units import Quantity, known_unit

_NUMBER: Final = re.compile(
    r"(?<![0-9])(?P<sign>(?<![\w)])-)?\s?(?:[$€£¥]|usd|rmb|cny)?\s?"
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3}){1,12}|[0-9]{1,40})(?P<decimals>\.[0-9]{1,40})?"
    r"(?:\s?/\s?(?P<below>[0-9]{1,40}))?(?:e(?P<power>[-+]?[0-9]{1,2}))?\s?(?P<percent>%|percent\b|per cent\b)?"
    r"(?!\s?[-:/.,^×*+]?\s?[0-9])"
)
"""Not followed by what would make it a date, a time, a version, a range, a power or a longer number."""
_PER_CENT: Final = re.compile(r"百分之\s?(?P<number>[0-9]{1,40}(?:\.[0-9]{1,40})?)(?![0-9.])")
_UNIT: Final = re.compile(
    r"\s?(?:[a-zμω°]{1,20}[23]?(?:\s?/\s?[a-z]{1,10}[23]?)?|[\u4e00-\u9fff]{1,4})?\s?[.。!,;]*\s*"
)

_UNIT_WORD: Final = re.compile(
    r"\s?[a-z]{1,20}(?:\s?/\s?[a-z]{1,10})?(?![\w/])|[\u4e00-\u9fff]{1,2}(?![\u4e00-\u9fff])"
)


def leading_number(text: str) -> Quantity | None:
    """Return the number that a text begins with, and its unit; None if it begins with something else.

    A percentage is a ratio: `50 %`, `0.5` and `1/2` are equal, `50` is another number.
    """
    if found := _PER_CENT.match(text):
        return Quantity(Fraction(found["number"]) / 100)
    found = _NUMBER.match(text)
    return _quantity(found) if found else None


def only_number(text: str) -> Quantity | None:
    """Return the number in a text that is one number and perhaps its unit; else None."""
    found = _PER_CENT.match(text) or _NUMBER.match(text)
    return leading_number(text) if found and _UNIT.fullmatch(text, found.end()) else None


def last_number(text: str) -> Quantity | None:
    """Return the last number in a text, and its unit; None if there is none."""
    last = None
    for found in _NUMBER.finditer(text):
        last = found
    return _quantity(last) if last else None


def written(value: Fraction) -> str:
    """Return the one way a value is written: as a decimal if it ends, else as a fraction."""
    digits, rest = 0, value.denominator
    for factor in (2, 5):
        power = 0
        while rest % factor == 0:
            rest, power = rest // factor, power + 1
        digits = max(digits, power)
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    scaled = f"{abs(value.numerator) * 10**digits // value.denominator:0{digits + 1}d}"
    sign = "-" if value < 0 else ""
    return f"{sign}{scaled[: len(scaled) - digits]}" + (f".{scaled[-digits:]}" if digits else "")


def _quantity(found: re.Match[str]) -> Quantity | None:
    value = _value(found)
    if value is None:
        return None
    unit = _UNIT_WORD.match(found.string, found.end())
    return Quantity(value, known_unit(unit[0]) if unit else "")


def _value(found: re.Match[str]) -> Fraction | None:
    """Return the value of a match; None if it has none, like 1/0."""
    value = Fraction(found["whole"].replace(",", "") + (found["decimals"] or ""))
    if found["below"]:
        below = int(found["below"])
        if not below:
            return None
        value /= below
    if found["power"]:
        value *= Fraction(10) ** int(found["power"])
    if found["percent"]:
        value /= 100
    return -value if found["sign"] else value
