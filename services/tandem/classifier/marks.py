"""Counts what the form of a text tells: questions, numbers, formulas, code, enumerations, answer choices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tandem.classifier.words import Words

_CODE_LITERALS: Final = (
    "```",
    "#include",
    "Traceback",
    "console.log",
    "public static",
    "/>",
    "</",
    "();",
    "<?php",
    "=> {",
)
_CODE_WORDS: Final = frozenset(("def", "import", "class", "function", "return", "select"))
_CODE: Final = re.compile(
    r"\b(?:def \w+\(|import \w+$|class \w+[:({]|function \w+\(|return \w|SELECT \S+ FROM)", re.MULTILINE
)
_FORMULA_LITERALS: Final = ("\\", "$", "^", "=")
_FORMULA_SYMBOLS: Final = "≤≥≠±√∑∫∞πθ∈∠△⊥"
_OPERATION: Final = re.compile(r"[0-9] ?[-+*/×÷] ?[0-9]")
_NUMBER: Final = re.compile(r"[0-9]+")
_ITEM: Final = re.compile(r"^[ \t]{0,8}(?:\d{1,2}[.)、]|[-*•]|[①-⑳])", re.MULTILINE)
_CHOICE_LITERALS: Final = ("B.", "B)", "B:", "B．", "B）", "B：", "B、")
_CHOICE: Final = re.compile(r"(?:^|[\s;；。])[(（]?([A-J])[.．):：)）、]")
_CLINICAL_LITERALS: Final = ("old", "岁")
_CLINICAL: Final = re.compile(r"\d[- ](?:year|month|week|day)s?[- ]old|\d ?岁")


@dataclass(frozen=True, slots=True)
class Marks:
    """How often each kind of form occurs."""

    questions: int
    numbers: int
    formulas: int
    code: int
    items: int
    choices: int
    clinical_ages: int
    blanks: int


def marks_of(text: str, words: Words) -> Marks:
    """Return the marks of a text whose words are already known, in time linear in its length."""
    numbers = _count(_NUMBER, text)
    formulas = sum(map(text.count, _FORMULA_LITERALS)) + (_count(_OPERATION, text) if numbers > 1 else 0)
    return Marks(
        questions=text.count("?") + text.count("？"),
        numbers=numbers,
        formulas=formulas if text.isascii() else formulas + sum(map(text.count, _FORMULA_SYMBOLS)),
        code=sum(map(text.count, _CODE_LITERALS))
        + (_count(_CODE, text) if words.distinct & _CODE_WORDS else 0),
        items=_count(_ITEM, text),
        choices=len(set(_CHOICE.findall(text))) if _has(text, _CHOICE_LITERALS) else 0,
        clinical_ages=_count(_CLINICAL, text) if numbers and _has(text, _CLINICAL_LITERALS) else 0,
        blanks=text.count("__") + text.count("（）") + text.count("()"),
    )


def _count(pattern: re.Pattern[str], text: str) -> int:
    return len(pattern.findall(text))


def _has(text: str, literals: tuple[str, ...]) -> bool:
    """Tell cheaply whether the slower search for a pattern can find anything."""
    return any(literal in text for literal in literals)
