"""Catches answers that are equal but vote apart, and answers that differ but vote together."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.fusion.normalise import NOTHING, VALUE_CHARACTERS, Kind, Normal, Wanted, normalise
from tandem.fusion.numbers import written

CHOICES = [
    ("B", "B"),
    ("b", "B"),
    ("(C)", "C"),
    ("B. Paris", "B"),
    ("The answer is B", "B"),
    ("The answer is B. I hope this answer is helpful!", "B"),
    ("The answer is not A but B.", "B"),
    ("**Answer:** (d) because the others are wrong", "D"),
    ("The correct option is (C), since 3 > 2.", "C"),
    ("I would go with option B.", "B"),
    (r"Thus \boxed{B}", "B"),
    ("First the lemma.\nThen the case.\nB", "B"),
    ("答案是B", "B"),
    ("答案不是A，而是C。", "C"),
    ("选C", "C"),
    ("故选 D。", "D"),
    ("答案：Ａ、Ｃ、Ｄ", "ACD"),
    ("ACD", "ACD"),
    ("B, D and E", "BDE"),
    ("B, I guess", "B"),
]
NUMBERS = [
    ("42", "42"),
    ("= 42", "42"),
    ("x = 42", "42"),
    ("So 6*7 = 42.", "42"),
    ("答案是４２", "42"),
    ("#### 18", "18"),
    ("1,234.50", "1234.5"),
    ("The final answer is $1,000.", "1000"),
    ("$20", "20"),
    ("20 dollars", "20"),
    ("12 km", "12"),
    ("12公里", "12"),
    ("3 + 4 = 7 apples", "7"),
    ("-5", "-5"),
    ("−5", "-5"),
    ("1e3", "1000"),
    ("1.0", "1"),
    (r"The answer is \(\boxed{\frac{1}{3}}\).", "1/3"),
]
SAME_RATIO = [
    "0.5",
    ".5 = 0.5",
    "1/2",
    "2/4",
    "50%",
    "50 %",
    "５０％",
    "50 percent",
    "百分之50",
    r"\frac{1}{2}",
    "½",
]
BOOLEANS = [
    ("Yes", "yes"),
    ("Yes, because it is.", "yes"),
    ("Yes! " + "It is so. " * 30, "yes"),
    ("True", "yes"),
    ("是", "yes"),
    ("答案：正确", "yes"),
    ("No.", "no"),
    ("不是", "no"),
    ("否", "no"),
]
TEXTS = [
    ("  PARIS!! ", "paris"),
    ("The answer is Paris.", "paris"),
    ("Answer: A cat", "a cat"),
    ("A dog", "a dog"),
    ("No one knows", "no one knows"),
    ("是一种动物", "是一种动物"),
    ("BAD", "bad"),
    ("1/0", "1/0"),
    ("...", "..."),
]


@pytest.mark.parametrize(("text", "value"), CHOICES)
def test_choice(text: str, value: str) -> None:
    assert normalise(text) == Normal(Kind.CHOICE, value)


@pytest.mark.parametrize(("text", "value"), NUMBERS)
def test_number(text: str, value: str) -> None:
    assert normalise(text) == Normal(Kind.NUMBER, value)


@pytest.mark.parametrize("text", SAME_RATIO)
def test_ratio_is_one_number_however_written(text: str) -> None:
    assert normalise(text) == Normal(Kind.NUMBER, "0.5")


@pytest.mark.parametrize(("text", "value"), BOOLEANS)
def test_yes_or_no(text: str, value: str) -> None:
    assert normalise(text) == Normal(Kind.BOOLEAN, value)


@pytest.mark.parametrize(("text", "value"), TEXTS)
def test_label(text: str, value: str) -> None:
    assert normalise(text) == Normal(Kind.TEXT, value)


@pytest.mark.parametrize(
    "text", ["2024-01-05", "12:30", "the answer is 5-10", "the answer is 1.234,50", "v3.1", "10^6"]
)
def test_what_has_digits_need_not_be_a_number(text: str) -> None:
    assert normalise(text).kind is Kind.TEXT


@pytest.mark.parametrize(
    ("one", "other"), [("50", "50%"), ("5", "-5"), ("x^2+1", "x^2-1"), ("A", "B"), ("yes", "no")]
)
def test_different_answers_stay_apart(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@pytest.mark.parametrize("text", ["", " \n\t ", "\u3000"])
def test_nothing(text: str) -> None:
    assert normalise(text) is NOTHING


def test_last_statement_wins() -> None:
    text = "At first I thought that the answer is A. Checking again, the answer is C. Hence the claim."
    assert normalise(text) == Normal(Kind.CHOICE, "C")


def test_last_number_counts_only_when_a_number_is_wanted() -> None:
    text = (
        "Four boxes of 3 make a dozen, and after giving away 5 she has 7 left for herself, which is enough."
    )
    assert normalise(text, Wanted(numeric=True)) == Normal(Kind.NUMBER, "7")
    assert normalise(text).kind is Kind.TEXT


def test_long_texts_are_compared_whole_but_shown_short() -> None:
    one, other = normalise("word " * 5000 + "this"), normalise("word " * 5000 + "that")
    assert one != other
    assert len(one.value) < VALUE_CHARACTERS + 32


@given(st.text(st.characters(codec=None)), st.booleans())
def test_no_text_fails(text: str, numeric: bool) -> None:
    normal = normalise(text, Wanted(numeric=numeric))
    assert (normal.kind is Kind.NOTHING) == (not normal.value)


@given(st.text(alphabet="ABCab12.,:/%()= \n$\\{}-答案是选:", max_size=60))
def test_space_around_changes_nothing(text: str) -> None:
    assert normalise(f" {text}\n") == normalise(text)


@given(st.fractions(max_denominator=10**6))
def test_number_is_written_without_loss(value: Fraction) -> None:
    assert Fraction(written(value)) == value


@pytest.mark.parametrize(
    "text", ["answer is " * 10**5, "9" * 10**6, "1," * 10**5, "\\frac{" * 10**5, "not " * 10**5, " " * 10**6]
)
def test_time_is_linear(text: str) -> None:
    started = time.process_time()
    normalise(text, Wanted(numeric=True))
    assert time.process_time() - started < 2.0
