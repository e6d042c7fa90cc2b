"""Says in words for people what made a request look hard or easy.

The learned weights have no words of their own. So what they add to the complexity is summed up by what a person can
name: the headings of known terms, and the form of the text. What remains is the wording as a whole.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.artifact import Artifact
from tandem.classifier.features import HASH_BITS, VECTOR_NAME, Features, Terms
from tandem.classifier.summing import Parts
from tandem.classifier.weights import Floats

MOST: Final = 5
"""Reasons that are told."""
LEAST_SHARE: Final = 0.1
"""A reason that is told carries at least this share of the strongest one."""
LEAST_POINTS: Final = 0.05
"""And moves the sum that complexity is read from by at least this much."""

HEADINGS: Final = {
    "demand.proof": "asks for a proof or a derivation",
    "demand.steps": "asks for several steps",
    "demand.weighing": "asks to weigh or to design",
    "demand.depth": "asks for an explanation",
    "demand.conditions": "sets conditions",
    "demand.hypothesis": "supposes a case",
    "demand.quantity": "asks for a calculation",
    "demand.recall": "asks for a plain fact",
    "task.creative": "words of creative writing",
    "task.factual": "words of questions about facts",
    "task.reasoning": "words of reasoning",
    "task.mathematics": "words of mathematics",
    "task.code": "words of programming",
    "task.extraction": "works on a given text",
    "task.translation": "asks for a translation",
    "task.chat": "small talk",
    "domain.medical": "medical terms",
    "domain.legal": "legal terms",
    "domain.finance": "financial terms",
    "domain.science": "scientific terms",
    "asker.professional": "terms of professionals",
    "asker.lay": "terms of laymen",
    "form.denial": "negations and exceptions",
    "form.supposing": "supposes a case",
    "form.seeking": "asks for a calculation",
    "form.reasons": "asks for an explanation",
    "form.what": "asks what something is",
    "form.which": "asks which one",
    "form.facts": "asks who, when or where",
    "form.listed": "chooses among what is listed",
    "form.truth": "asks what is true",
    "form.ratio": "ratios and multiples",
    "form.sequence": "events one after another",
    "form.difference": "sums and differences",
    "form.reader": "speaks to the reader",
    "form.writer": "speaks of the writer",
    "form.money": "sums of money",
    "form.time": "times and durations",
    "form.people": "a story about people",
    "form.cases": "a case from court, clinic or business",
    "form.symbols": "mathematical objects",
    "form.morals": "moral judgements",
}
"""Words for the headings of terms; a heading without words here is not told, headings with the same words are one."""
_FORMS: Final = {
    "length of the question": (
        "characters",
        "words",
        "stop",
        "comma",
        "space",
        "latin",
        "letter",
        "ideograph",
    ),
    "long words": ("longest word", "mean word"),
    "several lines or parts": ("newline", "items"),
    "offers options": ("options",),
    "numbers in it": ("digit", "numbers"),
    "contains mathematics": ("operator", "backslash", "dollar", "'^{'", "'$$'", "'\\\\('", "'\\\\['"),
    "contains code": ("'```'", "'def '", "'()'", "'::'", "'=='", "angular", "'|'"),
    "has blanks to fill": ("'__'", "underscore", "'（）'"),
}
"""What surface counts say, by the names of the counts. The first two are told of every text."""
_ALWAYS: Final = 2
_WORDING: Final = "the wording as a whole"
_TEXTS: Final = (*_FORMS, *HEADINGS.values(), _WORDING, "")
_REST: Final = len(_TEXTS) - 1
"""What nobody can name; it is not told."""
_WORDING_AT: Final = _TEXTS.index(_WORDING)
_HARDER: Final = tuple(f"harder: {text}" for text in _TEXTS)
_EASIER: Final = tuple(f"easier: {text}" for text in _TEXTS)


class Reasons:
    """Tells the reasons of one artifact."""

    def __init__(self, artifact: Artifact) -> None:
        header = artifact.header
        mix = np.zeros(len(header.columns), np.float32)
        for name, weight in header.complexity.mix.items():
            mix[header.columns.index(name)] = weight
        if header.complexity.value[-1] < header.complexity.value[0]:
            mix = -mix
        self._parts = Parts(
            artifact.weights,
            mix,
            [_reason(name) for name in artifact.extractor.dense_names],
            _ALWAYS,
            _terms(artifact, mix * artifact.weights.columns),
            _WORDING_AT,
            _REST,
            (MOST, LEAST_SHARE, LEAST_POINTS),
        )

    def tell(self, features: Features, standard: Floats, angles: Floats, ngrams: Floats) -> list[str]:
        """Return the strongest reasons, strongest first.

        `standard` are the dense numbers as the weights take them, `angles` where they stand on the waves, `ngrams` is
        what the n-grams add to every column.
        """
        told = self._parts.of(features, standard, angles, ngrams)
        return [_HARDER[reason] if points > 0 else _EASIER[reason] for reason, points in told]


def _reason(name: str) -> int:
    """Return which reason a dense number belongs to."""
    if name.startswith(VECTOR_NAME):
        return _WORDING_AT
    heading = name.removeprefix("terms of ")
    if heading in HEADINGS:
        return _TEXTS.index(HEADINGS[heading])
    counted = name.removeprefix("count of ").removeprefix("share of ")
    return next((at for at, names in enumerate(_FORMS.values()) if counted in names), _REST)


def _terms(artifact: Artifact, columns: Floats) -> tuple[NDArray[np.uint32], Floats, list[int]]:
    """Return the buckets of known terms as words, pairs and ideographs, what a unit in each adds, and their reasons."""
    keys = artifact.terms.keys if artifact.terms else np.empty(0, np.uint64)
    spec = artifact.header.features
    drawn = [
        (keys >> np.uint64(HASH_BITS - group.bits)) + np.uint64(offset)
        for group, offset in zip(spec.groups, spec.offsets[:-1], strict=True)
        if group.kind != "characters"
    ]
    buckets = np.array(drawn, np.uint32).reshape(len(drawn), len(keys)).T
    weights = artifact.weights
    added = (weights.buckets[buckets] @ columns) * weights.rows[buckets]
    return buckets, added, _headings(artifact.terms)


def _headings(terms: Terms | None) -> list[int]:
    """Return the reason of every term: that of the first of its headings that has words."""
    if terms is None:
        return []
    order = [
        (terms.names.index(name), _TEXTS.index(text))
        for name, text in HEADINGS.items()
        if name in terms.names
    ]
    return [next((reason for column, reason in order if row[column]), _REST) for row in terms.weights]
