"""Catches a turn that is judged without what it leans on, or with what it has nothing to do with."""

from __future__ import annotations

import pytest

from tandem.classifier.conversation import CONTEXT_CHARACTERS, read
from tandem.classifier.sample import QUESTION_CHARACTERS
from tandem.v1 import types_pb2

USER, ASSISTANT, SYSTEM = types_pb2.ROLE_USER, types_pb2.ROLE_ASSISTANT, types_pb2.ROLE_SYSTEM
PROOF = "Prove that the square root of 2 is irrational."
ANSWER = "Suppose that it is p/q in lowest terms."


def message(role: types_pb2.Role.ValueType, *texts: str) -> types_pb2.Message:
    return types_pb2.Message(role=role, parts=[types_pb2.Part(text=text) for text in texts])


def question(*turns: tuple[types_pb2.Role.ValueType, str]) -> str:
    return read([message(role, text) for role, text in turns]).question


@pytest.mark.parametrize(
    "turn",
    [
        "yes",
        "Yes, please go ahead!",
        "ok",
        "continue",
        "keep going...",
        "继续",
        "好的，请继续吧。",
        "对",
        "👍",
        "",
        "接着写",
        "ok thanks, continue",
        "let's do it",
        "absolutely",
        "好的谢谢，继续",
        "都要",
    ],
)
def test_an_approval_asks_for_what_it_approves(turn: str) -> None:
    assert question((SYSTEM, "Be brief."), (USER, PROOF), (ASSISTANT, ANSWER), (USER, turn)) == PROOF
    again = ((ASSISTANT, "Part two."), (USER, turn), (ASSISTANT, "Part three."), (USER, turn))
    assert question((USER, PROOF), (ASSISTANT, ANSWER), (USER, turn), *again) == PROOF


def test_an_approval_asks_for_the_offer_that_it_approves() -> None:
    offer = "Hello! I am well. Shall I prove Fermat's last theorem?"
    assert (
        question((USER, "hi"), (ASSISTANT, offer), (USER, "yes"))
        == "hi\nShall I prove Fermat's last theorem?"
    )
    short = ((USER, PROOF), (ASSISTANT, "It is long. Should I write it in Lean?"), (USER, "yes"))
    assert question(*short) == f"{PROOF}\nShould I write it in Lean?"
    chinese = "你好！要不要我证明费马大定理？"
    assert question((USER, "嗨"), (ASSISTANT, chinese), (USER, "好的")) == "嗨\n要不要我证明费马大定理？"


@pytest.mark.parametrize(
    "offer",
    [
        "Shall I go on?",
        "Would you like me to continue?",
        "Do you want me to do this?",
        "要继续吗？",
        "需要我继续说下去吗？",
        "要不要我往下写？",
    ],
)
def test_an_offer_to_go_on_adds_nothing(offer: str) -> None:
    assert question((USER, PROOF), (ASSISTANT, f"I can prove it. {offer}"), (USER, "Yes, please.")) == PROOF
    assert question((USER, PROOF), (ASSISTANT, offer), (USER, "好的，继续")) == PROOF


@pytest.mark.parametrize(
    "turn",
    [
        "No, I meant the cube root.",
        "That's wrong, q cannot be even.",
        "Try again",
        "there is an error in the second step",
        "why?",
        "and for the cube root of 2?",
        "What about the square root of 3?",
        "Can you explain that more formally?",
        "Make it shorter",
        "不对，应该是立方根",
        "你算错了，再检查一遍",
        "那立方根呢？",
        "上面的证明能再详细一点吗？",
        "为什么？",
        "Actually, I meant the cube root.",
        "Hmm, are you sure?",
        "it should be 7, not 5",
        "Wait, q should be odd.",
        "go ahead with option 2",
        "Answer in French",
        "now prove the converse",
        "same for the cube root",
        "give an example",
        "I don't get it",
        "I'm lost, sorry.",
        "等等，应该是奇数吧",
        "你确定吗？",
        "举个例子",
        "用Python写",
        "别用反证法",
    ],
)
def test_a_correction_or_a_reference_is_read_with_what_it_leans_on(turn: str) -> None:
    assert question((USER, PROOF), (ASSISTANT, ANSWER), (USER, turn)) == f"{PROOF}\n{turn}"


@pytest.mark.parametrize(
    "turn",
    [
        "What is the capital of France?",
        "法国的首都是哪里？",
        "thanks",
        "谢谢",
        "No thanks. Who wrote Faust?",
        "New question: why is the sky blue?",
        "换个话题，那天气呢？",
        "3 + 4 = ?",
        "Sorry, what is the capital of Peru?",
        "Wait times at the DMV",
        "Tell me a joke",
        "How are you?",
        "why is the sky blue?",
        "讲个笑话",
        "你是谁？",
        "不是所有鸟都会飞吗？",
        "错觉是什么？",
        "为什么天是蓝的？",
        "1+1等于几",
        "Write a poem about the sea and the wind.",
    ],
)
def test_a_new_wish_is_judged_by_itself(turn: str) -> None:
    assert question((USER, PROOF), (ASSISTANT, ANSWER), (USER, turn)) == turn


def test_an_approval_after_a_change_of_the_system_prompt_is_one_too() -> None:
    assert (
        question((USER, PROOF), (ASSISTANT, ANSWER), (SYSTEM, "Be brief."), (USER, "yes")) == f"{PROOF}\nyes"
    )


def test_the_first_turn_stands_for_itself() -> None:
    assert question((USER, "yes")) == "yes"
    assert (
        question((SYSTEM, "Be brief."), (ASSISTANT, "Shall I prove it?"), (USER, "yes"))
        == "Shall I prove it?"
    )
    assert question((ASSISTANT, "Nobody asked.")) == "Nobody asked."


def test_system_prompts_are_the_context_and_earlier_turns_are_not() -> None:
    turns = (
        (SYSTEM, "Be brief."),
        (USER, PROOF),
        (ASSISTANT, ANSWER),
        (SYSTEM, "Speak French."),
        (USER, "Who wrote Faust?"),
    )
    assert read([message(role, text) for role, text in turns]).context == "Be brief.\nSpeak French."


def test_documents_count_and_the_question_after_them_is_kept() -> None:
    found = read([message(USER, "a" * 10**6, "b" * 10**6, "Summarise both.")])
    assert found.characters == 2 * 10**6 + len("Summarise both.")
    assert len(found.question) <= QUESTION_CHARACTERS + 1
    assert found.question.startswith("aaa")
    assert found.question.endswith("b\nSummarise both.")


def test_the_context_is_bounded() -> None:
    found = read([message(SYSTEM, "x" * 10**6), message(USER, "hi")])
    assert len(found.context) <= CONTEXT_CHARACTERS + 1
