"""Would catch: a violation without the path of its field, or an error that a hostile request makes huge."""

from __future__ import annotations

import pytest

from tandem.errors import InvalidRequest, Violation
from tandem.serving.validation import MAX_LISTED, validate
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import question, user

Request = orchestrator_pb2.GenerateRequest


def violations(request: Request) -> list[Violation]:
    with pytest.raises(InvalidRequest) as caught:
        validate(request)
    for violation in caught.value.details.violations:
        assert violation.description in caught.value.message
        assert violation.field in caught.value.message
    return list(caught.value.details.violations)


def test_a_valid_request() -> None:
    validate(question())


def test_every_violation_is_named_by_its_path() -> None:
    bad = Request(messages=[user(), user()], tier="R1", sampling=types_pb2.Sampling(top_p=2, stop=["x", ""]))
    bad.messages[0].parts[0].ClearField("text")
    bad.messages[0].role = types_pb2.ROLE_UNSPECIFIED
    assert sorted(v.field for v in violations(bad)) == [
        "messages[0].parts[0].content",
        "messages[0].role",
        "sampling.stop[1]",
        "sampling.top_p",
        "tier",
    ]


def test_a_rule_of_the_whole_message_has_no_path() -> None:
    bad = Request(
        messages=[types_pb2.Message(role=types_pb2.ROLE_ASSISTANT, parts=[types_pb2.Part(text="x")])]
    )
    assert violations(bad) == [Violation("", "the last message must be of ROLE_USER")]


def test_a_rule_inside_of_a_nested_message() -> None:
    pcm = types_pb2.Audio(data=b"x", media_type="audio/pcm")
    bad = Request(messages=[types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(audio=pcm)])])
    assert [v.field for v in violations(bad)] == ["messages[0].parts[0].audio"]


def test_a_hostile_request_makes_no_huge_error() -> None:
    bad = Request(messages=[types_pb2.Message(parts=[types_pb2.Part()] * 64)] * 200)
    with pytest.raises(InvalidRequest) as caught:
        validate(bad)
    assert len(caught.value.details.violations) == MAX_LISTED
    assert "more" in caught.value.message
    assert len(caught.value.message) < 10_000
