"""Catches equal answers that vote apart, and different ones that vote together, in the forms a question asks for."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.fusion.grouping import grouped
from tandem.fusion.normalise import NOTHING, Kind, Normal, Wanted, normalise

LABELS = ("positive", "negative", "very negative", "中性")
SAME = [
    (Kind.SET, "The colours are: red, green and blue", "- Blue\n- red\n- green"),
    (Kind.SET, "红色、绿色和蓝色", "蓝色，绿色，红色"),
    (Kind.JSON, '{"a": 1, "b": [1.0, 2]}', 'Here it is:\n```json\n{"b":[1,2],"a":1}\n```'),
    (Kind.CODE, "```python\ndef f(x):\n    # double\n    return x*2\n```", "def f(x):\n    return (x * 2)"),
    (Kind.CODE, "[7,1,2]", "[7, 1, 2]"),
    (Kind.CODE, "int f() { return 1; } // one", "int f()\n{\n  return 1;\n}"),
    (Kind.TEXT, "Paris.", " paris"),
    (Kind.EXACT, " [7, 1]\n", "[7, 1]"),
    (Kind.NUMBER, "It is about 1/2, so I say: the answer is 50%.", "0.5"),
]
APART = [
    (Kind.SET, "red, green", "red, green, blue"),
    (Kind.JSON, '{"a": 1}', '{"a": "1"}'),
    (Kind.CODE, "def f(x): return x*2", "def f(x): return x*3"),
    (Kind.CODE, "'a b'", "'ab'"),
    (Kind.TEXT, "Paris", "Rome"),
    (Kind.EXACT, "[7,1,2]", "[7, 1, 2]"),
    (Kind.NUMBER, "5", "-5"),
]


@pytest.mark.parametrize(("kind", "one", "other"), SAME)
def test_same(kind: Kind, one: str, other: str) -> None:
    assert normalise(one, Wanted(kind)) == normalise(other, Wanted(kind)) != NOTHING


@pytest.mark.parametrize(("kind", "one", "other"), APART)
def test_apart(kind: Kind, one: str, other: str) -> None:
    assert normalise(one, Wanted(kind)) != normalise(other, Wanted(kind))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("It is Positive.", "positive"),
        ("Surely very negative", "very negative"),
        ("It is not positive but negative", "negative"),
        ("情感是中性的", "中性"),
        ("unpositive", ""),
    ],
)
def test_label(text: str, label: str) -> None:
    assert normalise(text, Wanted(labels=LABELS)).value == label


def test_what_is_of_another_form_than_is_wanted_does_not_vote() -> None:
    assert normalise("Paris", Wanted(Kind.NUMBER)) is NOTHING
    assert normalise("{broken", Wanted(Kind.JSON)) is NOTHING


def test_in_mathematics_brackets_and_case_count() -> None:
    exact = Wanted(numeric=True, exact=True)
    assert normalise("(1,2)", exact) != normalise("[1,2]", exact)
    assert normalise("(1, 2)", exact) == normalise("(1,2)", exact)


def groups(texts: Sequence[str], tolerance: float = 0.0) -> list[list[str]]:
    """Return who votes together."""
    found = grouped([normalise(text, Wanted(Kind.NUMBER)) for text in texts], tolerance)
    return sorted(sorted(texts[at] for at in group.members) for group in found)


def test_units_of_one_dimension_are_converted() -> None:
    assert groups(["1 km", "1000 m", "100000 cm", "1 m"]) == [["1 km", "1000 m", "100000 cm"], ["1 m"]]


def test_a_number_without_a_unit_is_read_in_the_commonest() -> None:
    assert groups(["1", "1 km", "1000 m", "1 km"]) == [["1", "1 km", "1 km", "1000 m"]]


def test_tolerance_is_a_part_of_the_greater_number() -> None:
    assert groups(["100", "101", "103"], 0.01) == [["100", "101"], ["103"]]
    assert groups(["100", "101", "103"]) == [["100"], ["101"], ["103"]]


@given(st.lists(st.integers(90, 110).map(str), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_order_decides_no_group(texts: list[str], random_: random.Random) -> None:
    shuffled = list(texts)
    random_.shuffle(shuffled)
    assert groups(shuffled, 0.02) == groups(texts, 0.02)


@given(st.sampled_from(list(Kind)), st.text(st.characters(codec=None)), st.sampled_from([(), LABELS]))
def test_no_text_fails_in_any_form(kind: Kind, text: str, labels: tuple[str, ...]) -> None:
    normal = normalise(text, Wanted(kind, labels))
    assert isinstance(normal, Normal)
    assert (normal.kind is Kind.NOTHING) == (not normal.value)


@pytest.mark.parametrize("kind", [Kind.SET, Kind.JSON, Kind.CODE, Kind.TEXT])
@pytest.mark.parametrize(
    "text", ["[" * 10**6, "```\n" * 250_000, "(" * 10**6, "-" * 10**6, '{"a":' * 200_000, "/*" * 500_000]
)
def test_hostile_texts_take_linear_time(kind: Kind, text: str) -> None:
    started = time.process_time()
    normalise(text, Wanted(kind))
    assert time.process_time() - started < 2.0
