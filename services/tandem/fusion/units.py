"""Units of measure: which quantities are the same though they are written in different units."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_LENGTH, _MASS, _TIME, _VOLUME, _SPEED, _POWER, _ENERGY, _DATA = (
    "m",
    "kg",
    "s",
    "l",
    "m/s",
    "w",
    "j",
    "byte",
)
_UNITS: Final[dict[str, tuple[str, Fraction]]] = {
    spelling: (dimension, Fraction(factor))
    for dimension, factor, spellings in (
        (_LENGTH, "1", "m metre metres meter meters 米"),
        (_LENGTH, "1000", "km kilometre kilometres kilometer kilometers 公里 千米"),
        (_LENGTH, "0.01", "cm centimetre centimetres centimeter centimeters 厘米"),
        (_LENGTH, "0.001", "mm millimetre millimetres millimeter millimeters 毫米"),
        (_MASS, "1", "kg kilogram kilograms 公斤 千克"),
        (_MASS, "0.001", "g gram grams 克"),
        (_MASS, "0.000001", "mg milligram milligrams 毫克"),
        (_MASS, "1000", "t tonne tonnes 吨"),
        (_TIME, "1", "s sec second seconds 秒"),
        (_TIME, "60", "min minute minutes 分钟"),
        (_TIME, "3600", "h hour hours 小时"),
        (_TIME, "86400", "day days 天"),
        (_TIME, "0.001", "ms millisecond milliseconds 毫秒"),
        (_VOLUME, "1", "l litre litres liter liters 升"),
        (_VOLUME, "0.001", "ml millilitre millilitres milliliter milliliters 毫升"),
        (_SPEED, "1", "m/s"),
        (_SPEED, "5/18", "km/h"),
        (_POWER, "1", "w watt watts 瓦"),
        (_POWER, "1000", "kw kilowatt kilowatts 千瓦"),
        (_ENERGY, "1", "j joule joules 焦耳"),
        (_ENERGY, "1000", "kj kilojoule kilojoules 千焦"),
        (_DATA, "1", "byte bytes 字节"),
        (_DATA, "1000", "kb kilobyte kilobytes"),
        (_DATA, "1000000", "mb megabyte megabytes"),
    )
    for spelling in spellings.split()
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and the unit it is followed by, as written, in lower case; empty: none, or one that is not known."""

    value: Fraction
    unit: str = ""


def known_unit(text: str) -> str:
    """Return the unit that a text in lower case begins with, without spaces; empty if it is not a known one."""
    word = "".join(text.split())
    return word if word in _UNITS else ""


def comparable(quantities: list[Quantity]) -> list[Fraction]:
    """Return values that are equal when the quantities are.

    If all have one unit, or none, the values are those that are written. If two units of one dimension meet, all are
    converted to its base unit, and a number without a unit is read in the commonest one; of equally common ones in the
    smallest. Quantities of different dimensions are compared as they are written: one of them is a mistake.
    """
    units = [quantity.unit for quantity in quantities if quantity.unit]
    if len(set(units)) < 2 or len({_UNITS[unit][0] for unit in units}) > 1:
        return [quantity.value for quantity in quantities]
    commonest = min(set(units), key=lambda unit: (-units.count(unit), _UNITS[unit][1], unit))
    return [quantity.value * _UNITS[quantity.unit or commonest][1] for quantity in quantities]
