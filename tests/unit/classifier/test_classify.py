"""Catches signals that are missing, out of range, left to chance or slow, and texts that break the classifier."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.classifier.classify import ClassifierCore, signals_of
from tandem.classifier.judge import Judge
from tandem.protocols import Classifier
from tandem.v1 import classifier_pb2, types_pb2
from tests.fakes import artifacts
from tests.fakes.calls import call

USER, ASSISTANT, SYSTEM = types_pb2.ROLE_USER, types_pb2.ROLE_ASSISTANT, types_pb2.ROLE_SYSTEM
Turn = tuple[types_pb2.Role.ValueType, str]
PROOF = (
    "Prove that the square root of 2 is irrational, then explain step by step why the same argument fails for the "
    "square root of 4."
)
CAPITAL = "What is the capital of France?"


def request(*turns: Turn) -> classifier_pb2.ClassifyRequest:
    messages = [types_pb2.Message(role=role, parts=[types_pb2.Part(text=text)]) for role, text in turns]
    return classifier_pb2.ClassifyRequest(messages=messages)


class Fixed:
    """Never changes its judge."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge


async def test_the_core_is_a_classifier(judge: Judge) -> None:
    core: Classifier = ClassifierCore(Fixed(judge))
    response = await core.classify(request((USER, CAPITAL)), call())
    assert response.signals == signals_of(request((USER, CAPITAL)), judge)
    assert response.signals.artifact_revision == judge.artifact.revision


def test_every_signal_is_there(judge: Judge) -> None:
    plain, proof = signals_of(request((USER, CAPITAL)), judge), signals_of(request((USER, PROOF)), judge)
    assert plain.complexity.value < 3
    assert proof.complexity.value > 5
    assert plain.r1_suffices.value > 0.5 > proof.r1_suffices.value
    assert plain.expected_gain.value < proof.expected_gain.value
    assert plain.task.value == types_pb2.TASK_FACTUAL
    assert proof.task.value == types_pb2.TASK_MATHEMATICS
    assert plain.domain.value == types_pb2.DOMAIN_GENERAL
    assert plain.language.value == "en"
    assert list(plain.modalities) == [types_pb2.MODALITY_TEXT]
    assert plain.context_tokens > 5
    assert proof.reasons[0] == "harder: asks for a proof or a derivation"
    assert plain.reasons[0] == "easier: asks for a plain fact"


@pytest.mark.parametrize(("before", "after"), [("Good evening! ", " Thank you!"), ("打扰一下，", "谢谢！")])
def test_courtesy_moves_no_learned_signal(judge: Judge, before: str, after: str) -> None:
    plain, polite = (signals_of(request((USER, text)), judge) for text in (PROOF, f"{before}{PROOF}{after}"))
    for field in ("language", "context_tokens"):  # what the whole text says
        plain.ClearField(field)
        polite.ClearField(field)
    assert polite == plain


def test_chinese_terms_are_found(judge: Judge) -> None:
    found = signals_of(request((USER, "证明根号2是无理数，并逐步说明理由。")), judge)
    assert found.language.value == "zh"
    assert found.task.value == types_pb2.TASK_MATHEMATICS
    assert found.reasons[0] == "harder: asks for a proof or a derivation"


def test_nothing_known_is_said_to_be_so(judge: Judge) -> None:
    found = signals_of(request((USER, "?!")), judge)
    assert found.task.value == types_pb2.TASK_UNSPECIFIED
    assert found.task.confidence == pytest.approx(1 - 1 / len(artifacts.TASKS), abs=0.1)
    assert not found.professional.HasField("value")
    assert found.language.value == "und"
    assert signals_of(request((ASSISTANT, "")), judge).language.value == "und"


def test_the_system_prompt_counts_by_its_terms_not_by_its_length(judge: Judge) -> None:
    wish = (USER, "Is twice a day too often?")
    alone = signals_of(request(wish), judge)
    blank = signals_of(request((SYSTEM, " " * 1000), wish), judge)
    spoken = signals_of(request((SYSTEM, "You help physicians with their patients."), wish), judge)
    assert blank.complexity.value == pytest.approx(alone.complexity.value, abs=0.05)
    assert spoken.complexity.value != alone.complexity.value


def test_the_wish_at_either_end_of_a_long_text_is_seen(judge: Judge) -> None:
    material = "The weather stayed mild and the harvest was late that year. " * 15_000
    for text in (f"Translate this into Chinese.\n{material}", f"{material}\nTranslate this into Chinese."):
        assert signals_of(request((USER, text)), judge).task.value == types_pb2.TASK_TRANSLATION


TURNS = st.lists(
    st.tuples(
        st.sampled_from([USER, ASSISTANT, SYSTEM]), st.text(st.characters(codec="utf-8"), max_size=200)
    ),
    min_size=1,
    max_size=6,
)


@given(TURNS)
def test_no_text_fails_and_every_number_is_in_its_range(judge: Judge, turns: list[Turn]) -> None:
    found = signals_of(request(*turns), judge)
    assert 0 <= found.complexity.value <= 10
    assert 0 < found.r1_suffices.value < 1
    assert -1 <= found.expected_gain.value <= 1
    scores = [signal.confidence for signal in (found.complexity, found.r1_suffices, found.expected_gain)]
    topics = [found.task.confidence, found.domain.confidence, found.professional.confidence]
    assert all(0 <= confidence <= 1 for confidence in [*scores, *topics, found.language.confidence])
    assert len(found.reasons) <= 5
    assert found == signals_of(request(*turns), judge)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10**6,
        "量" * 300_000,
        "\x00\x01\x1b" * 10**5,
        "\n" * 10**6,
        " -" * 500_000,
        "1" * 10**6,
        "𠀀" * 200_000,
        "(A)" * 300_000,
    ],
    ids=["one word", "han", "control", "newlines", "dashes", "digits", "rare han", "choices"],
)
def test_a_megabyte_is_judged_in_bounded_time(judge: Judge, text: str) -> None:
    messages = request((USER, text), (ASSISTANT, text), (USER, text))
    started = time.process_time()
    signals_of(messages, judge)
    assert time.process_time() - started < 1.0, "what grows with the square of the length takes minutes"
