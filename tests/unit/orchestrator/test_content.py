"""Would catch a secret that shows because it lies where a long text is cut, and what is too long for any collector."""

from __future__ import annotations

import json

import pytest

from tandem.orchestrator.content import MOST_CHARACTERS, MOST_OF_ALL, Captured
from tandem.orchestrator.telemetry_policy import Content
from tandem.telemetry.redaction import BLOT
from tandem.v1 import types_pb2

MAIL = "ada.lovelace@mail.example.org"


def asked(text: str) -> str:
    message = types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text=text)])
    shown: str = json.loads(Captured(Content(tenants=("lab",)), [message]).asked())[0]["parts"][0]["content"]
    return shown


@pytest.mark.parametrize("after", ["", " and so on" * 100])
@pytest.mark.parametrize("shown", range(1, len(MAIL) + 1))
def test_a_secret_across_the_cut_is_blotted_out(shown: int, after: str) -> None:
    words = "word " * MOST_CHARACTERS
    before = words[: MOST_CHARACTERS - shown - 1] + " "
    told = asked(before + MAIL + after)
    assert "ada" not in told
    assert told.startswith("word word")
    assert len(told) <= MOST_CHARACTERS


def test_a_long_text_is_cut_and_a_shorter_one_is_not() -> None:
    assert asked("a" * MOST_CHARACTERS) == "a" * MOST_CHARACTERS
    assert asked("a" * (MOST_CHARACTERS + 1)) == "a" * MOST_CHARACTERS
    assert asked("a" * (2 * MOST_CHARACTERS)) == "a" * MOST_CHARACTERS
    assert asked(MAIL) == BLOT


def test_of_a_very_long_conversation_the_latest_is_told() -> None:
    ask = types_pb2.Message(role=types_pb2.ROLE_USER)
    ask.parts.extend(types_pb2.Part(text=letter * MOST_CHARACTERS) for letter in "abc")
    messages = [ask] * 5
    told = json.loads(Captured(Content(tenants=("lab",)), messages).asked())
    contents = [part["content"] for turn in told for part in turn["parts"]]
    assert [len(content) for content in contents] == [0] * 7 + [MOST_CHARACTERS] * 8
    assert [content[:1] for content in contents[7:]] == list("bcabcabc")
    assert sum(map(len, contents)) == MOST_OF_ALL
