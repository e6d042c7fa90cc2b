"""Decides task, domain and kind of asker by weighing terms and form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from tandem.classifier.lexicon import ASKERS, DOMAINS, TASKS, Asker
from tandem.classifier.marks import Marks
from tandem.classifier.sample import ends
from tandem.classifier.words import Words
from tandem.v1 import types_pb2

Label = TypeVar("Label")

ASK_CHARACTERS: Final = 400
"""The beginning and the end of a long question say what is wanted; the rest is material."""
BODY_WEIGHT: Final = 0.4
CONTEXT_WEIGHT: Final = 0.5
"""Earlier turns and system instructions against the question itself."""
GENERAL_WEIGHT: Final = 1.5
"""Weight of terms that another domain must exceed."""
LONG_CHARACTERS: Final = 1500
MOST_DECIDED: Final = 0.9
"""Terms alone never make more certain than this."""
MOST_UNDECIDED: Final = 0.75
"""Nor does their absence make more certain than this."""
CHAT_CHARACTERS: Final = 30
"""A longer question that begins with a greeting wants something."""
MEDICAL_ENDINGS: Final = (
    "itis",
    "iasis",
    "nemia",
    "lemia",
    "hemia",
    "cemia",
    "opathy",
    "ectomy",
    "plasia",
    "uria",
    "algia",
    "noma",
)
MEDICAL_WORD_WEIGHT: Final = 1.7


class Topics:
    """What a question is about; decided once, read three times."""

    def __init__(self, question: str, words: Words, context: Words, marks: Marks) -> None:
        self._ask = ends(question, ASK_CHARACTERS).lower().replace("-", " ")
        self._length = len(question)
        self._words = words
        self._context = context
        self._marks = marks

    def task(self) -> types_pb2.TaskSignal:
        """Return what is to be done."""
        scores = self._forms()
        for term, task, weight in TASKS.find(self._words):
            scores[task] = scores.get(task, 0.0) + weight * (1.0 if term in self._ask else BODY_WEIGHT)
        if self._length > CHAT_CHARACTERS:
            scores.pop(types_pb2.TASK_CHAT, None)
        value, confidence = _decide(scores, types_pb2.TASK_UNSPECIFIED, prior=1.5, floor=0.36)
        return types_pb2.TaskSignal(value=value, confidence=confidence)

    def domain(self) -> types_pb2.DomainSignal:
        """Return the field of knowledge."""
        scores = DOMAINS.weigh(self._words)
        _add(scores, DOMAINS.weigh(self._context), CONTEXT_WEIGHT)
        medical = 1.0 if self._marks.clinical_ages else 0.0
        medical += MEDICAL_WORD_WEIGHT * sum(word.endswith(MEDICAL_ENDINGS) for word in self._words.distinct)
        _add(scores, {types_pb2.DOMAIN_MEDICAL: medical, types_pb2.DOMAIN_GENERAL: GENERAL_WEIGHT}, 1.0)
        value, confidence = _decide(scores, types_pb2.DOMAIN_UNSPECIFIED, prior=0.7, floor=0.4)
        return types_pb2.DomainSignal(value=value, confidence=confidence)

    def professional(self, domain: types_pb2.DomainSignal) -> types_pb2.ProfessionalSignal:
        """Return whether a professional asks; undecided without a domain or without a sign."""
        if domain.value == types_pb2.DOMAIN_GENERAL:
            return types_pb2.ProfessionalSignal(value=False, confidence=0.7)
        scores = ASKERS.weigh(self._words)
        _add(scores, ASKERS.weigh(self._context), CONTEXT_WEIGHT)
        if self._marks.clinical_ages or self._marks.choices > 2:
            _add(scores, {Asker.PROFESSIONAL: 1.0}, 1.0)
        asker, confidence = _decide(scores, Asker.UNKNOWN, prior=0.8, floor=0.5)
        if asker is Asker.UNKNOWN:
            return types_pb2.ProfessionalSignal(confidence=confidence)
        if domain.value == types_pb2.DOMAIN_UNSPECIFIED:
            return types_pb2.ProfessionalSignal(confidence=0.5)
        return types_pb2.ProfessionalSignal(value=asker is Asker.PROFESSIONAL, confidence=confidence)

    def _forms(self) -> dict[types_pb2.Task.ValueType, float]:
        marks = self._marks
        return {
            types_pb2.TASK_CODE: min(2.0 * marks.code, 6.0),
            types_pb2.TASK_MATHEMATICS: min(0.8 * marks.formulas, 5.0) + min(0.3 * marks.numbers, 1.5),
            types_pb2.TASK_FACTUAL: 0.5 * min(marks.questions, 1)
            + min(0.8 * marks.blanks, 0.8)
            + (0.4 if marks.choices > 2 else 0.0),
            types_pb2.TASK_EXTRACTION: 1.0 if self._length > LONG_CHARACTERS else 0.0,
        }


def _add(scores: dict[Label, float], more: Mapping[Label, float], weight: float) -> None:
    for label, score in more.items():
        scores[label] = scores.get(label, 0.0) + weight * score


def _decide(
    scores: Mapping[Label, float], undecided: Label, prior: float, floor: float
) -> tuple[Label, float]:
    """Return the heaviest label and its share, or `undecided` when the share is under the floor.

    The share is of the two heaviest and a prior, so that little evidence gives little confidence. The confidence of
    `undecided` is that the heaviest label is wrong.
    """
    ranked = sorted(scores.items(), key=lambda item: item[1], reverse=True)[:2]
    total = sum(score for _, score in ranked) + prior
    share = ranked[0][1] / total if ranked else 0.0
    if share < floor:
        return undecided, min(1.0 - share, MOST_UNDECIDED)
    return ranked[0][0], min(share, MOST_DECIDED)
