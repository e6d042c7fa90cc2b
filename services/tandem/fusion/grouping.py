"""Puts candidates that say the same into groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from tandem.fusion.normalise import Kind, Normal
from tandem.fusion.units import comparable


@dataclass(frozen=True, slots=True)
class Group:
    """Candidates that say the same."""

    form: Normal
    members: tuple[int, ...]
    """Indices of the candidates, ascending."""


def grouped(forms: Sequence[Normal], tolerance: float = 0.0) -> list[Group]:
    """Return the groups in the order of their first members; who says nothing is in none.

    Numbers are one group if their quantities are the same. With a tolerance they are taken from the smallest on: a
    number is in the group whose smallest member differs from it by at most that part of the greater one. So neither
    the order of the candidates nor that of the comparisons decides.
    """
    groups: dict[Normal | int, list[int]] = {}
    numbers = [at for at, form in enumerate(forms) if form.quantity]
    standing = dict(zip(numbers, _standing(forms, numbers, tolerance), strict=True))
    for at, form in enumerate(forms):
        if form.kind is not Kind.NOTHING:
            groups.setdefault(standing.get(at, form), []).append(at)
    return [Group(forms[standing.get(members[0], members[0])], tuple(members)) for members in groups.values()]


def _standing(forms: Sequence[Normal], numbers: Sequence[int], tolerance: float) -> list[int]:
    """Return for each number the candidate whose form stands for its group."""
    values = comparable([quantity for at in numbers if (quantity := forms[at].quantity)])
    order = sorted(range(len(numbers)), key=lambda place: (values[place], forms[numbers[place]].value))
    standing = [0] * len(numbers)
    first: int | None = None
    for place in order:
        if first is None or not _close(values[first], values[place], tolerance):
            first = place
        standing[place] = numbers[first]
    return standing


def _close(smaller: Fraction, greater: Fraction, tolerance: float) -> bool:
    if smaller == greater:
        return True
    return tolerance > 0 and greater - smaller <= Fraction(tolerance) * max(abs(smaller), abs(greater))
