"""Prompts made from templates: what people ask an assistant, with task and domain certain by construction.

The recorded questions are mostly of examinations, so a head trained on them alone takes every request for an
examination. The templates say, in Chinese and in English, what else is asked. None is taken from a benchmark.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

TEMPLATES: Final = Path(__file__).parent / "templates"
DOMAINS: Final = ("general", "medical", "legal", "finance", "science")
ANY: Final = "any"
GENERATED_SEED: Final = 1
GENERAL_SHARE: Final = 3
"""How much likelier than another domain the general one is for a template of any domain."""
MANNERED: Final = 0.3
"""Share of prompts with words before, and of prompts with words after."""
TRADITIONAL: Final = 0.12
"""Share of Chinese prompts in traditional characters."""

_SLOT: Final = re.compile(r"\{([a-z]+)\}")

Fillers = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, its language, task and domain, and the template that it is made from."""

    text: str
    language: str
    task: str
    domain: str
    template: str


def generated(copies: int, seed: int) -> list[Prompt]:
    """Return prompts, at most `copies` of each template and each once; the same for the same arguments."""
    drawn = {prompt.text: prompt for prompt in _all(copies, random.Random(seed))}  # noqa: S311  # no secret
    return list(drawn.values())


def _all(copies: int, draw: random.Random) -> Iterator[Prompt]:
    manners = read_templates("manners.yaml")
    characters = read_templates("traditional.yaml")
    traditional = str.maketrans(characters["simplified"], characters["traditional"])
    for language in ("en", "zh"):
        known = fillers(language)
        for file in sorted(TEMPLATES.glob(f"prompts_{language}_*.yaml")):
            document = read_templates(file.name)
            slots = {**known, ANY: {**known[ANY], **document.pop("slots", {})}}
            for task, domain, template in templates_in(document):
                for _ in range(copies):
                    chosen = _domain(domain, template, slots, draw)
                    text = _mannered(fill(template, chosen, slots, draw), manners[language], draw)
                    if language == "zh" and draw.random() < TRADITIONAL:
                        text = text.translate(traditional)
                    yield Prompt(text, language, task, chosen, template)


def templates_in(document: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[tuple[str, str, str]]:
    """Give the label, the domain and the text of every template of a document."""
    for task, by_domain in document.items():
        for domain, templates in by_domain.items():
            for template in templates:
                yield task, domain, template


def fillers(language: str) -> dict[str, dict[str, list[str]]]:
    """Return what fills the slots of a language, by domain and slot, of all files together."""
    found: dict[str, dict[str, list[str]]] = {}
    for file in sorted(TEMPLATES.glob(f"fillers_{language}*.yaml")):
        for domain, slots in read_templates(file.name).items():
            for slot, texts in slots.items():
                found.setdefault(domain, {}).setdefault(slot, []).extend(texts)
    return found


def read_templates(name: str) -> dict[str, Any]:
    """Return a document of the folder of templates."""
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(TEMPLATES / name)
    return document


def _domain(domain: str, template: str, fillers: Fillers, draw: random.Random) -> str:
    """Return the domain of a prompt: that of its topic, where the template is of any domain."""
    if domain != ANY:
        return domain
    ruled = [slot for slot in _SLOT.findall(template) if any(slot in fillers[name] for name in DOMAINS[1:])]
    able = [name for name in DOMAINS if all(slot in fillers[name] or slot in fillers[ANY] for slot in ruled)]
    if not ruled:
        return DOMAINS[0]
    return draw.choices(able, [GENERAL_SHARE if name == DOMAINS[0] else 1 for name in able])[0]


def fill(template: str, domain: str, fillers: Fillers, draw: random.Random) -> str:
    """Return a template with every slot filled, each anew, and the slots of what fills it; other braces stay."""

    def filler(match: re.Match[str]) -> str:
        found = fillers.get(domain, {}).get(match[1]) or fillers[ANY].get(match[1])
        return fill(draw.choice(found), domain, fillers, draw) if found else match[0]

    return _SLOT.sub(filler, template)


def _mannered(text: str, manners: Mapping[str, Sequence[str]], draw: random.Random) -> str:
    before = draw.choice(manners["before"]) if draw.random() < MANNERED else ""
    after = draw.choice(manners["after"]) if draw.random() < MANNERED else ""
    return f"{before}{text}{after}"
