"""Would catch a draft or an instruction in the wrong place, a changed request, or a prompt that breaks the contract."""

from __future__ import annotations

import pytest

from tandem.orchestrator.cascade_policy import Cascade
from tandem.orchestrator.refinement import MOST_BYTES, MOST_MESSAGES, MOST_PARTS, with_draft, with_instruction
from tandem.v1 import types_pb2
from tests.fakes.calls import image, user

SYSTEM = types_pb2.Message(role=types_pb2.ROLE_SYSTEM, parts=[types_pb2.Part(text="Be brief.")])


def said(messages: list[types_pb2.Message]) -> list[tuple[int, str]]:
    return [(message.role, "".join(part.text for part in message.parts)) for message in messages]


def test_an_instruction_becomes_the_system_message() -> None:
    asked = [user("why?")]
    assert said(with_instruction(asked, "Classify.")) == [(1, "Classify."), (2, "why?")]
    assert said(asked) == [(2, "why?")]


def test_an_instruction_follows_the_system_message() -> None:
    asked = [SYSTEM, user("why?")]
    assert said(with_instruction(asked, "Classify.")) == [(1, "Be brief.\n\nClassify."), (2, "why?")]
    assert said(asked)[0] == (1, "Be brief.")


@pytest.mark.parametrize(
    "asked",
    [
        [user("why?")] * MOST_MESSAGES,
        [
            types_pb2.Message(role=types_pb2.ROLE_SYSTEM, parts=[types_pb2.Part(text="x")] * MOST_PARTS),
            user(),
        ],
    ],
    ids=["messages", "parts"],
)
def test_an_instruction_without_room_is_left_out(asked: list[types_pb2.Message]) -> None:
    assert with_instruction(asked, "Classify.") == asked


def test_a_draft_follows_the_question() -> None:
    asked = [SYSTEM, user("why?")]
    refined = with_draft(asked, "Draft: {draft} Improve it.", "be{draft}cause")
    assert refined is not None
    assert said(refined) == [(1, "Be brief."), (2, "why?\n\nDraft: be{draft}cause Improve it.")]
    assert said(asked)[1] == (2, "why?")


def test_pictures_stay() -> None:
    asked = [image()]
    refined = with_draft(asked, Cascade().template, "a cat")
    assert refined is not None
    assert refined[0].parts[0] == asked[0].parts[0]
    assert "a cat" in refined[0].parts[1].text


def test_a_draft_without_room_is_left_out() -> None:
    full = types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text="x")] * MOST_PARTS)
    assert with_draft([full], Cascade().template, "x") is None
    assert with_draft([user()], "{draft}", "量" * (MOST_BYTES // 3)) is None
