"""Would catch: a takeover that repeats or swallows white space where two models' texts join."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.inference.continuation import Continuation


def joined(prefix: str, pieces: list[str]) -> str:
    continuation = Continuation(prefix)
    return prefix + "".join(continuation.feed(piece) for piece in pieces)


@pytest.mark.parametrize(
    ("prefix", "output", "whole"),
    [
        ("The sky", " is blue", "The sky is blue"),
        ("The sky ", " is blue", "The sky is blue"),
        ("The sky ", "is blue", "The sky is blue"),
        ("One.\n\n", "\n\nTwo.", "One.\n\nTwo."),
        ("One.\n\n", "\nTwo.", "One.\n\nTwo."),
        ("def f():\n", "\n    return 1", "def f():\n    return 1"),
        ("a\u3000", "\u3000b", "a\u3000b"),
        ("", " leading", " leading"),
        ("x", "x", "xx"),
        ("x ", "", "x "),
    ],
)
def test_texts_join(prefix: str, output: str, whole: str) -> None:
    for cut in range(len(output) + 1):
        assert joined(prefix, [output[:cut], output[cut:]]) == whole


def test_the_prompt_does_not_end_in_white_space() -> None:
    assert Continuation("One.\n\n ").prompt_suffix == "One."
    assert Continuation("").prompt_suffix == ""
    assert Continuation(" \n").prompt_suffix == ""


_space = st.text(alphabet=" \n\t\u3000", max_size=4)
_body = st.text(max_size=12)


@given(_body, _space, _body, st.lists(st.integers(0, 20), max_size=4))
def test_a_model_that_repeats_the_white_space(body: str, space: str, rest: str, cuts: list[int]) -> None:
    prefix = body + space
    repeated = prefix[len(prefix.rstrip()) :]
    assert joined(prefix, _pieces(repeated + rest, cuts)) == prefix + rest


@given(
    _body, _space, _body.filter(lambda rest: not rest[:1].isspace()), st.lists(st.integers(0, 20), max_size=4)
)
def test_a_model_that_does_not_repeat_it(body: str, space: str, rest: str, cuts: list[int]) -> None:
    assert joined(body + space, _pieces(rest, cuts)) == body + space + rest


@given(_body, _space, _space, _body)
def test_nothing_but_white_space_is_ever_taken_off(body: str, space: str, other: str, rest: str) -> None:
    whole = joined(body + space, [other + rest])
    assert whole.startswith(body + space)
    assert "".join(whole.split()) == "".join((body + space + other + rest).split())


def _pieces(output: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(min(cut, len(output)) for cut in cuts), len(output)]
    return [output[a:b] for a, b in itertools.pairwise(edges)]
