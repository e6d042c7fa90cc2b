"""Catches signals that are missing, over-confident, left to chance or slow, and texts that break the classifier."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.classifier.classify import ARTIFACT_REVISION, ClassifierCore, signals_of
from tandem.protocols import Classifier
from tandem.v1 import classifier_pb2, types_pb2
from tests.fakes.calls import call

USER, ASSISTANT, SYSTEM = types_pb2.ROLE_USER, types_pb2.ROLE_ASSISTANT, types_pb2.ROLE_SYSTEM
PROOF = (
    "Prove that the square root of 2 is irrational, then explain step by step why the same argument fails for the "
    "square root of 4."
)
CAPITAL = "What is the capital of France?"
CLINICAL = (
    "A 54-year-old man presents with crushing chest pain, hypotension and an elevated jugular venous pressure. "
    "What is the most likely diagnosis, and what is the next step in management?"
)
LEGAL = (
    "Under common law, is the landlord liable for negligence if a tenant's guest is injured on stairs that both "
    "parties knew to be defective? Discuss the defendant's best defenses."
)
MONETARY = (
    "Compare the monetary policy of the Fed and the ECB since 2008 and evaluate which was more effective given the "
    "inflation targets."
)
GUARANTEE = (
    "甲向乙借款10万元，丙提供保证担保，到期后甲未还。乙未在保证期间内起诉。丙是否承担责任？请说明法律依据。"
)


def request(*turns: tuple[types_pb2.Role.ValueType, str]) -> classifier_pb2.ClassifyRequest:
    messages = [types_pb2.Message(role=role, parts=[types_pb2.Part(text=text)]) for role, text in turns]
    return classifier_pb2.ClassifyRequest(messages=messages)


def signals(text: str) -> types_pb2.Signals:
    return signals_of(request((USER, text)))


async def test_the_core_is_a_classifier() -> None:
    core: Classifier = ClassifierCore()
    response = await core.classify(request((USER, CAPITAL)), call())
    assert response.signals == signals(CAPITAL)
    assert response.signals.artifact_revision == ARTIFACT_REVISION


def test_a_plain_question_is_simple() -> None:
    found = signals(CAPITAL)
    assert found.complexity.value < 3
    assert found.r1_suffices.value > 0.5
    assert found.task.value == types_pb2.TASK_FACTUAL
    assert found.domain.value == types_pb2.DOMAIN_GENERAL
    assert found.language.value == "en"
    assert list(found.modalities) == [types_pb2.MODALITY_TEXT]


def test_a_proof_in_steps_is_hard() -> None:
    found = signals(PROOF)
    assert found.complexity.value > 5
    assert found.r1_suffices.value < 0.5
    assert found.task.value in (types_pb2.TASK_MATHEMATICS, types_pb2.TASK_REASONING)
    assert found.reasons[0] == "asks for a proof or a derivation"
    assert found.expected_gain.value > signals(CAPITAL).expected_gain.value


def test_an_explanation_in_chinese() -> None:
    found = signals("解释量子计算的基本原理")
    assert (found.language.value, found.task.value) == ("zh", types_pb2.TASK_FACTUAL)
    assert found.domain.value == types_pb2.DOMAIN_SCIENCE
    assert found.complexity.value > signals("法国的首都是哪里？").complexity.value
    assert "asks for a calculation" not in found.reasons


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        (CLINICAL, types_pb2.DOMAIN_MEDICAL),
        (
            "患者男，54岁，胸痛放射至左臂，低血压，颈静脉怒张。最可能的诊断是什么？请分析鉴别诊断。",
            types_pb2.DOMAIN_MEDICAL,
        ),
        (LEGAL, types_pb2.DOMAIN_LEGAL),
        (GUARANTEE, types_pb2.DOMAIN_LEGAL),
        ("证明根号2是无理数，并逐步说明为什么同样的论证对根号4不成立。", types_pb2.DOMAIN_GENERAL),
        (
            MONETARY,
            types_pb2.DOMAIN_FINANCE,
        ),
    ],
)
def test_what_professionals_ask_is_not_simple(text: str, domain: types_pb2.Domain.ValueType) -> None:
    found = signals(text)
    assert found.complexity.value > 5
    assert found.domain.value == domain


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Write a haiku about autumn", types_pb2.TASK_CREATIVE),
        ("写一首关于秋天的诗", types_pb2.TASK_CREATIVE),
        ("Write a Python function that merges two sorted lists.", types_pb2.TASK_CODE),
        ("用递归写一个函数，返回二叉树的深度，给出代码", types_pb2.TASK_CODE),
        (
            "Tom has 3 apples and buys twice as many. How many apples does he have in total?",
            types_pb2.TASK_MATHEMATICS,
        ),
        ("Translate into Chinese: The quick brown fox jumps over the lazy dog.", types_pb2.TASK_TRANSLATION),
        ("把下面的句子翻译成英文：今天天气很好", types_pb2.TASK_TRANSLATION),
        ("Summarize the following article in three bullet points.", types_pb2.TASK_EXTRACTION),
        ("总结以下文章的要点", types_pb2.TASK_EXTRACTION),
        ("hello", types_pb2.TASK_CHAT),
        ("你好", types_pb2.TASK_CHAT),
        ("zxcv", types_pb2.TASK_UNSPECIFIED),
    ],
)
def test_task(text: str, task: types_pb2.Task.ValueType) -> None:
    assert signals(text).task.value == task


@pytest.mark.parametrize(
    ("text", "professional"),
    [
        (CLINICAL, True),
        (GUARANTEE, True),
        ("My mom has a fever and takes antibiotics, what should I do?", False),
        (CAPITAL, False),
        ("What are antibiotics?", None),
    ],
)
def test_professional(text: str, professional: bool | None) -> None:
    found = signals(text).professional
    assert (found.value if found.HasField("value") else None) is professional


@pytest.mark.parametrize(
    "approval", ["yes", "Yes, please go ahead!", "ok", "continue", "继续", "好的，请继续吧。", "why?", "👍"]
)
def test_an_approval_is_as_hard_as_what_it_approves(approval: str) -> None:
    asked = ((SYSTEM, "Be brief."), (USER, PROOF), (ASSISTANT, "That takes a while. Shall I?"))
    found = signals_of(
        request(*asked, (USER, approval), (ASSISTANT, "Here is part one. Go on?"), (USER, approval))
    )
    assert found.complexity.value > 5
    assert found.task.value == signals(PROOF).task.value


@pytest.mark.parametrize("turn", [CAPITAL, "thanks", "谢谢"])
def test_a_new_wish_is_judged_by_itself(turn: str) -> None:
    found = signals_of(request((USER, PROOF), (ASSISTANT, "Let it be p/q."), (USER, turn)))
    assert found.complexity.value == pytest.approx(signals(turn).complexity.value)


def test_the_domain_of_a_question_may_come_from_the_conversation() -> None:
    turns = (
        (SYSTEM, "You help physicians with their patients' medication and dosage."),
        (USER, "Is twice a day too often?"),
    )
    assert signals_of(request(*turns)).domain.value == types_pb2.DOMAIN_MEDICAL


def test_nothing_known_is_said_to_be_so() -> None:
    found = signals("?!")
    assert found.task.value == types_pb2.TASK_UNSPECIFIED
    assert found.language.value == "und"
    assert signals_of(request((ASSISTANT, ""))).language.value == "und"


def test_the_wish_at_either_end_of_a_long_text_is_seen() -> None:
    material = "The weather stayed mild and the harvest was late that year. " * 15_000
    assert signals(f"Translate this into Chinese.\n{material}").task.value == types_pb2.TASK_TRANSLATION
    assert signals(f"{material}\nTranslate this into Chinese.").task.value == types_pb2.TASK_TRANSLATION


TURNS = st.lists(
    st.tuples(
        st.sampled_from([USER, ASSISTANT, SYSTEM]), st.text(st.characters(codec="utf-8"), max_size=200)
    ),
    min_size=1,
    max_size=6,
)


@given(TURNS)
def test_no_text_fails_and_every_number_is_in_its_range(
    turns: list[tuple[types_pb2.Role.ValueType, str]],
) -> None:
    found = signals_of(request(*turns))
    assert 0 <= found.complexity.value <= 10
    assert 0 < found.r1_suffices.value < 1
    assert -1 <= found.expected_gain.value <= 1
    scores = [signal.confidence for signal in (found.complexity, found.r1_suffices, found.expected_gain)]
    topics = [found.task.confidence, found.domain.confidence, found.professional.confidence]
    assert all(0 < confidence < 1 for confidence in [*scores, *topics, found.language.confidence])
    assert len(found.reasons) <= 5
    assert found == signals_of(request(*turns))


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
def test_a_megabyte_is_judged_in_bounded_time(text: str) -> None:
    messages = request((USER, text))
    started = time.process_time()
    signals_of(messages)
    assert time.process_time() - started < 1.0, "what grows with the square of the length takes minutes"
