"""Catches long texts that are compared wrongly, and comparisons that do not end in time."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.fusion.fuse import FusionCore
from tandem.fusion.similarity import ORDERS, similarities
from tandem.v1 import fusion_pb2, types_pb2

CAT = "The cat sat on the mat and looked at the rain, because it was cold outside. " * 8
CAT_TOO = "The cat sat upon the mat and watched the rain, since it was cold outside. " * 8
TAX = "Income tax is due in April; late payment bears interest at a rate set each year. " * 8


def plain_chrf(one: str, other: str) -> float:
    """Return the mean F1 of n-grams, counted without buckets."""
    one, other = "".join(one.split()).casefold(), "".join(other.split()).casefold()
    marks = []
    for order in range(1, ORDERS + 1):
        grams = [
            Counter(text[at : at + order] for at in range(len(text) - order + 1)) for text in (one, other)
        ]
        if total := grams[0].total() + grams[1].total():
            marks.append(2 * (grams[0] & grams[1]).total() / total)
    return sum(marks) / len(marks)


def test_character_grams_are_those_of_a_plain_count() -> None:
    one, other = "abcdefgh", "abcdxfgh"  # a single word each, not the same: their cosine is 0
    assert similarities([one, other])[0, 1] == pytest.approx(plain_chrf(one, other) / 2)


@settings(max_examples=20)
@given(st.lists(st.text(st.characters(codec=None), max_size=40), min_size=1, max_size=5))
def test_symmetric_and_bounded(texts: list[str]) -> None:
    alike = similarities(texts)
    assert (alike == alike.T).all()
    assert ((alike >= 0) & (alike <= 1)).all()
    assert (alike.diagonal() == 1).all()


def fuse(*texts: str) -> fusion_pb2.FuseResponse:
    """Fuse texts of one tier."""
    target = types_pb2.Target(tier="r1", variant="bf16")
    candidates = [fusion_pb2.Candidate(target=target, text=text) for text in texts]
    return FusionCore().decide(fusion_pb2.FuseRequest(candidates=candidates))


def test_of_long_texts_the_one_most_like_the_others_is_chosen() -> None:
    decided = fuse(TAX, CAT, CAT_TOO)
    assert decided.text in {CAT, CAT_TOO}
    assert decided.fusion.rule == types_pb2.FUSION_RULE_MINIMUM_RISK
    assert decided.fusion.dissent[-1].text == TAX or decided.fusion.dissent[0].text == TAX


def test_of_long_chinese_texts_too() -> None:
    rain = "猫坐在垫子上看着外面的雨，因为外面很冷，它不想出去。" * 20
    rain_too = "猫坐在垫子上看外面的雨，由于外面很冷，它不愿意出去。" * 20
    tax = "所得税应当在四月之前缴纳，逾期缴纳的按照每年规定的利率计息。" * 20
    assert fuse(tax, rain, rain_too).text != tax


@pytest.mark.parametrize("unit", ["a", "ab ", "\n", "é", "词", "answer is ", "\u0301", "ﷺ", "1,"])
def test_eight_hostile_megabytes_are_bounded(unit: str) -> None:
    texts = [unit * (2**20 // len(unit.encode()) - at) for at in range(8)]
    started = time.process_time()
    fuse(*texts)
    assert time.process_time() - started < 4.0
