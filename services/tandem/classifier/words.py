"""Cuts a text into what lexicons look up, and looks it up.

English terms are one word or two neighbouring words; Chinese terms are characters anywhere. A term counts once,
however often it occurs, so that a long text is not louder than a short one.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import add
from typing import Final, Generic, TypeVar

Label = TypeVar("Label", bound=Hashable)

_WORD: Final = re.compile("[a-z\u00df-\u024f]+")


class Words:
    """The words of a text that are written in Latin letters, in lower case."""

    def __init__(self, text: str) -> None:
        self._text = text.lower()
        self.listed: list[str] = _WORD.findall(self._text)
        self.distinct = frozenset(self.listed)

    @cached_property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Neighbouring words."""
        return frozenset(zip(self.listed, self.listed[1:], strict=False))

    @cached_property
    def digrams(self) -> frozenset[str]:
        """Characters and neighbouring characters; none of a text that is all ASCII."""
        if self._text.isascii():
            return frozenset()
        return frozenset(self._text).union(map(add, self._text, self._text[1:]))

    def __contains__(self, characters: str) -> bool:
        return characters in self._text


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one label and weight: English ones apart by commas, Chinese ones by spaces."""

    weight: float
    english: str
    chinese: str


class Lexicon(Generic[Label]):
    """Weighted terms for labels, built once."""

    def __init__(self, entries: Mapping[Label, tuple[Terms, ...]]) -> None:
        self._words: dict[str, list[tuple[str, Label, float]]] = {}
        self._pairs: dict[tuple[str, str], list[tuple[str, Label, float]]] = {}
        self._chinese: dict[str, list[tuple[str, Label, float]]] = {}
        for label, groups in entries.items():
            for terms in groups:
                self._add(label, terms)

    def _add(self, label: Label, terms: Terms) -> None:
        for term in terms.english.split(","):
            entry = (term, label, terms.weight)
            match term.split():
                case [word]:
                    self._words.setdefault(word, []).append(entry)
                case [first, second]:
                    self._pairs.setdefault((first, second), []).append(entry)
        for term in terms.chinese.split():
            self._chinese.setdefault(term[:2], []).append((term, label, terms.weight))

    def find(self, words: Words) -> list[tuple[str, Label, float]]:
        """Return the terms found, each with its label and weight."""
        found = [entry for word in words.distinct & self._words.keys() for entry in self._words[word]]
        for pair in words.pairs & self._pairs.keys():
            found += self._pairs[pair]
        for digram in words.digrams & self._chinese.keys():
            found += [entry for entry in self._chinese[digram] if len(entry[0]) <= 2 or entry[0] in words]
        return found

    def weigh(self, words: Words) -> dict[Label, float]:
        """Return the sum of the weights of the terms found, of every label that has one."""
        sums: dict[Label, float] = {}
        for _, label, weight in self.find(words):
            sums[label] = sums.get(label, 0.0) + weight
        return sums
