"""Catches courtesy that moves a signal, and words that are asked about being taken for courtesy."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.classifier.conversation import Conversation
from tandem.classifier.courtesy import BEGINNING, END, without_courtesy

ENGLISH = "Prove that the square root of 2 is irrational."
CHINESE = "证明根号二是无理数的方法是什么？"


@pytest.mark.parametrize(
    "before", ["", "Hello! ", "Good morning everyone, ", "Please: ", "Hi there.\nI have a question: "]
)
@pytest.mark.parametrize(
    "after", ["", " Thanks!", "\nThank you very much in advance.", " Kind regards", " Cheers!"]
)
def test_english_courtesy_is_left_out(before: str, after: str) -> None:
    assert without_courtesy(f"{before}{ENGLISH}{after}") == ENGLISH


@pytest.mark.parametrize(
    "before", ["", "老师，您好！", "请问，", "打扰一下，想请教一下：", "麻烦帮忙看一下：\n"]
)
@pytest.mark.parametrize("after", ["", "谢谢！", "\n非常感谢您的帮助。", "麻烦您了，谢谢！", "先谢谢了。"])
def test_chinese_courtesy_is_left_out(before: str, after: str) -> None:
    assert without_courtesy(f"{before}{CHINESE}{after}") == CHINESE


@pytest.mark.parametrize(
    "text",
    [
        "Hello!",
        "Thank you",
        "谢谢",
        "你好，请问一下。",
        "Can you help me with this?",
        "Translate into Chinese: Thank you so much!",
        "Translate into formal French:\nThank you very much.",
        "Write a program that prints Hello, world and thanks the user for help",
        "Greetings in Japanese depend on the hour; list five of them.",
        "请翻译下面的句子：非常感谢您的帮助！",
        "I need help choosing between a lease and a mortgage.",
    ],
)
def test_what_is_asked_stays(text: str) -> None:
    assert without_courtesy(text) == text


@given(st.text(st.characters(codec="utf-8"), max_size=400))
def test_what_is_left_is_a_part_of_the_text(text: str) -> None:
    left = without_courtesy(text)
    assert left in text
    assert len(text.strip()) - len(left) <= BEGINNING + END


@pytest.mark.parametrize(
    "text",
    [
        "thanks " * 100_000,
        "谢" * 100_000,
        "please, " * 100_000,
        "请，" * 100_000,
        "h" * 1_000_000,
        "问一下" * 50_000,
        "Thank " * 50_000,
    ],
)
def test_the_time_is_bounded(text: str) -> None:
    started = time.process_time()
    without_courtesy(text)
    assert time.process_time() - started < 1, "a pattern that tries everything again takes minutes"


def test_the_length_that_counts_is_without_courtesy_too() -> None:
    text = f"Hello! {ENGLISH}"
    assert Conversation(text, "", len(text) + 1000).request == (ENGLISH, len(ENGLISH) + 1000)
