"""Would catch slots that nothing fills, labels that no template speaks for, and terms that are too long to be found."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from tandem.classifier.features import Terms
from tandem.training.classifier.generated import fill, fillers, generated, read_templates
from tandem.training.classifier.labelled import DOMAINS, TASKS
from tandem.training.classifier.professional import LAY, PROFESSIONAL, generated_askers
from tandem.training.classifier.terms import terms

PROMPTS = generated(1, seed=5)


def test_the_same_arguments_give_the_same_prompts() -> None:
    assert generated(1, seed=5) == PROMPTS
    assert generated(1, seed=6) != PROMPTS


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_task_and_every_domain_is_asked_for_in_both_languages(language: str) -> None:
    own = [prompt for prompt in PROMPTS if prompt.language == language]
    assert {prompt.task for prompt in own} == set(TASKS)
    assert {prompt.domain for prompt in own} == set(DOMAINS)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_slot_stays_empty(language: str) -> None:
    slots = {slot for by_slot in fillers(language).values() for slot in by_slot}
    empty = re.compile("{{(?:{})}}".format("|".join(sorted(slots))))
    assert not [
        prompt.text for prompt in PROMPTS if prompt.language == language and empty.search(prompt.text)
    ]


def test_a_part_may_have_slots_of_its_own_and_other_braces_stay() -> None:
    known = {"any": {"passage": ["about {name}"], "name": ["Mei"]}}
    assert fill("{passage}: \\frac{1}{2}", "general", known, random.Random(1)) == "about Mei: \\frac{1}{2}"


def test_a_slot_of_the_domain_goes_before_one_of_any() -> None:
    known = {"any": {"topic": ["chess"]}, "legal": {"topic": ["bail"]}}
    assert fill("{topic}", "legal", known, random.Random(1)) == "bail"


def test_some_chinese_prompts_are_in_traditional_characters() -> None:
    characters = read_templates("traditional.yaml")
    simplified, traditional = characters["simplified"], characters["traditional"]
    assert len(simplified) == len(traditional)
    told = [prompt.text for prompt in PROMPTS if "請" in prompt.text or "寫" in prompt.text]
    assert told


def test_terms_are_short_enough_to_be_found_and_stand_in_both_languages() -> None:
    found = terms()
    assert set(Terms.of(found).names) == set(found)
    for heading in (f"task.{task}" for task in TASKS):
        assert any(term.isascii() for term in found[heading])
        assert any(not term.isascii() for term in found[heading])


def test_professionals_and_others_ask_in_every_language() -> None:
    asked = Counter((text.language, text.group) for text in generated_askers(2))
    assert set(asked) == {(language, who) for language in ("en", "zh") for who in (LAY, PROFESSIONAL)}
    assert min(asked.values()) > 15


@pytest.mark.parametrize(
    "phrase",
    [
        "给出对应的法律依据",
        "<eoa>",
        "预测判决刑期",
        "overtaken the second person",
        "cultural experiences and must-see attractions",
        "piano tuners",
        "relying on a GPS device",
        "invented during the Renaissance",
    ],
)
def test_no_template_has_the_words_of_a_benchmark(phrase: str) -> None:
    assert not [prompt.template for prompt in PROMPTS if phrase in prompt.template]
