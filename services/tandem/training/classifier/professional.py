"""The head that tells whether a professional of the field asks.

Nobody has labelled that, so the labels are weak, and are what they say: examinations that admit to a profession (bar,
physician, accountant), case files and abstracts against questions of patients, clients and consumers, and templates of
both. School and general knowledge is neither and is left out. What the head is worth beyond that is not known.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from tandem.training.classifier.generated import GENERATED_SEED, fill, fillers, read_templates, templates_in
from tandem.training.classifier.labelled import GENERATED, Labelled
from tandem.training.classifier.labels import Kind, LabelHead, Rows, fit_kind

LAY, PROFESSIONAL = "lay", "professional"
COPIES: Final = 6

_PROFESSIONAL: Final = re.compile(
    r"^(?:mmlupro law|mmlu professional_(?:law|medicine|accounting)|mmlu clinical_knowledge|agieval jec-qa"
    r"|lawbench (?:1-2|3-6)|lexeval (?:1_1|2_|3_)|routerarena:(?:pubmedqa|medmcqa|finqa)|huatuo_instr"
    r"|fin_eva (?:.*(?:从业|审计师|税务师|执业)|.*(?:accounting|audit|actuary|tax_law|management_accountant)))"
)
_LAY: Final = re.compile(
    r"^(?:toyhom_med|medquad|lawbench (?:2-4|3-8)|vicuna_bench|self_instruct|ifeval|awesome_zh|gsm8k_train"
    r"|llmrouter:(?:natural_qa|trivia_qa)|fin_eva (?:金融意图理解|保险意图理解|理财知识解读))"
)


def asker(text: Labelled) -> str | None:
    """Return who asks, by the source and the group of a text; None where they do not tell."""
    if text.family == GENERATED:
        return text.group or None
    name = f"{text.source} {text.group}"
    if _PROFESSIONAL.match(name):
        return PROFESSIONAL
    return LAY if _LAY.match(name) else None


KIND: Final = Kind((LAY, PROFESSIONAL), asker, 0.06)


def generated_askers(copies: int = COPIES) -> list[Labelled]:
    """Return prompts of professionals and of others, made from templates, each once; their group is the asker."""
    drawn = {text.text: text for text in _all(copies, random.Random(GENERATED_SEED))}  # noqa: S311  # no secret
    return list(drawn.values())


def _all(copies: int, draw: random.Random) -> Iterator[Labelled]:
    for language, by_asker in read_templates("professional.yaml").items():
        slots = fillers(language)
        for who, domain, template in templates_in(by_asker):
            for _ in range(copies):
                yield Labelled(
                    fill(template, domain, slots, draw),
                    language,
                    None,
                    domain,
                    f"{GENERATED}:asker",
                    GENERATED,
                    template,
                    who,
                )


def fit_professional(rows: Rows, texts: Sequence[Labelled], calibrate: bool = True) -> LabelHead:
    """Fit the head; its one column is the log-odds of a professional. `rows` are those of `texts`."""
    head = fit_kind(KIND, rows, texts, calibrate)
    return replace(head, threshold=max(head.threshold, 0.6))
