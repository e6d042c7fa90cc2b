"""Catches wrong languages, token estimates that are far off, and samples that are too long or lack an end."""

from __future__ import annotations

import pytest

from tandem.classifier.language import UNDECIDED, language_of
from tandem.classifier.sample import ends, stride
from tandem.classifier.size import AUDIO_TOKENS, IMAGE_TOKENS, MESSAGE_TOKENS, context_tokens
from tandem.v1 import types_pb2


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of France?", "en"),
        ("Sort list ascending", "en"),
        ("Is TARP syndrome inherited ?", "en"),
        ("$\\frac{10 i}{2-i}=($ 　) 的值是", "zh"),
        ("Solve $\\frac{x(x + 1)^2}{y - 7} \\le 0$.", "en"),
        ("法国的首都是哪里？", "zh"),
        ("用Python写一个HTTP server", "zh"),
        ("Translate into English: 今天天气很好，我们去公园散步吧，然后一起吃午饭", "en"),
        ("把这句话翻译成中文：The quick brown fox jumps over the lazy dog and runs away", "zh"),
        ("Was ist die Hauptstadt von Frankreich?", "de"),
        ("¿Cuál es la capital de Francia?", "es"),
        ("Quelle est la capitale de la France ?", "fr"),
        ("フランスの首都はどこですか", "ja"),
        ("프랑스의 수도는 어디인가요?", "ko"),
        ("Какая столица Франции?", "ru"),
        ("", UNDECIDED),
        ("12 + 34 = ?", UNDECIDED),
        ("🙂", UNDECIDED),
    ],
)
def test_language(text: str, language: str) -> None:
    assert language_of(text).value == language


def test_mixed_text_is_less_certain_than_plain_text() -> None:
    mixed = "Translate into English: 今天天气很好，我们去公园散步吧，然后一起吃午饭"
    plain = "今天天气很好，我们去公园散步吧"
    assert language_of(mixed).confidence < language_of(plain).confidence < 1


def tokens(*parts: types_pb2.Part) -> int:
    return context_tokens([types_pb2.Message(role=types_pb2.ROLE_USER, parts=parts)]) - MESSAGE_TOKENS


def test_tokens() -> None:
    assert tokens(types_pb2.Part(text="abcd" * 100)) == 100
    assert tokens(types_pb2.Part(text="量子" * 50)) == 100
    assert tokens(types_pb2.Part(text="Привет" * 10)) == 30
    assert tokens(types_pb2.Part(text="")) == 0
    image = types_pb2.Part(image=types_pb2.Image(data=b"x", media_type="image/png"))
    audio = types_pb2.Part(audio=types_pb2.Audio(data=b"x", media_type="audio/wav"))
    assert tokens(image, audio) == IMAGE_TOKENS + AUDIO_TOKENS


def test_tokens_of_a_long_text_are_extrapolated() -> None:
    assert tokens(types_pb2.Part(text="量子abcdefgh" * 40_000)) == pytest.approx(160_000, rel=0.05)


def test_ends_keep_both_ends() -> None:
    assert ends("short") == "short"
    cut = ends("a" * 9000 + "z" * 9000, 100)
    assert cut == "a" * 50 + "\n" + "z" * 50


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 99, 1000])
def test_stride_is_bounded(length: int) -> None:
    assert len(stride("x" * length, 10)) <= 10
    assert bool(stride("x" * length, 10)) == bool(length)
