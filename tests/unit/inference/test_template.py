"""Would catch: a prompt the model was not trained on, a template that escapes, or refuses untyped."""

from __future__ import annotations

from pathlib import Path

import jinja2.exceptions
import pytest

from tandem.catalogue import load_catalogue
from tandem.errors import InvalidRequest
from tandem.inference.template import ChatTemplate
from tandem.v1 import types_pb2
from tests.fakes.calls import image, user
from tests.fakes.documents import TEMPLATE

DEPLOY = Path(__file__).parents[3] / "deploy"


def message(role: types_pb2.Role.ValueType, *parts: str) -> types_pb2.Message:
    return types_pb2.Message(role=role, parts=[types_pb2.Part(text=part) for part in parts])


def test_roles_and_order() -> None:
    messages = [
        message(types_pb2.ROLE_SYSTEM, "be brief"),
        message(types_pb2.ROLE_USER, "hi"),
        message(types_pb2.ROLE_ASSISTANT, "hello"),
        message(types_pb2.ROLE_USER, "why?"),
    ]
    expected = "[system]be brief\n[user]hi\n[assistant]hello\n[user]why?\n[assistant]"
    assert ChatTemplate(TEMPLATE).render(messages) == expected


def test_parts_join_and_pictures_have_no_text() -> None:
    both = types_pb2.Message(
        role=types_pb2.ROLE_USER, parts=[*user("look ").parts, *image().parts, *user("here").parts]
    )
    assert ChatTemplate(TEMPLATE).render([both]) == "[user]look here\n[assistant]"


def test_what_the_user_writes_is_no_template() -> None:
    text = "{{ 7 * 7 }}{% raise %}"
    assert text in ChatTemplate(TEMPLATE).render([user(text)])


def test_the_shipped_template_is_that_of_the_model() -> None:
    template = ChatTemplate(load_catalogue(DEPLOY / "catalogue.yaml").chat_templates["smollm2"])
    default = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    assert template.render([user("hi")]) == (
        f"<|im_start|>system\n{default}<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert template.render([message(types_pb2.ROLE_SYSTEM, "s"), user("hi")]) == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_template_may_refuse() -> None:
    template = ChatTemplate(
        "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}ok"
    )
    assert template.render([user()]) == "ok"
    with pytest.raises(InvalidRequest, match="user first"):
        template.render([message(types_pb2.ROLE_SYSTEM, "s")])


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception.__globals__ }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(source: str) -> None:
    with pytest.raises((jinja2.exceptions.SecurityError, jinja2.exceptions.UndefinedError)):
        ChatTemplate(source).render([user()])
