"""Rates how hard a request is, from the demands it makes and the form it has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tandem.classifier.lexicon import DEMANDS, Demand
from tandem.classifier.marks import Marks
from tandem.classifier.words import Words
from tandem.v1 import types_pb2

BASE: Final = 1.8
"""Complexity of a request without any sign."""
TOP: Final = 10.0
MOST_REASONS: Final = 5
_DOMAINS: Final = {
    types_pb2.DOMAIN_MEDICAL: (1.0, "medical"),
    types_pb2.DOMAIN_LEGAL: (1.3, "legal"),
    types_pb2.DOMAIN_FINANCE: (0.8, "financial"),
    types_pb2.DOMAIN_SCIENCE: (0.7, "scientific"),
}


@dataclass(frozen=True, slots=True)
class Complexity:
    """The rating, 0 to 10, and why, strongest reason first."""

    value: float
    reasons: tuple[str, ...]


def rate(
    words: Words, marks: Marks, tokens: float, topics: tuple[types_pb2.DomainSignal, bool]
) -> Complexity:
    """Return the complexity of a question of so many tokens, of a domain, for a professional or not."""
    demands = DEMANDS.weigh(words)
    points = [
        *_demanded(demands),
        *_formed(marks),
        *_domain(*topics, marks),
        (1.5 * math.log2(1 + tokens / 60), "length of the question"),
    ]
    if (
        not any(demands.get(demand) for demand in (Demand.PROOF, Demand.STEPS, Demand.WEIGHING))
        and tokens < 40
    ):
        points.append((-1.2 * min(demands.get(Demand.RECALL, 0.0), 1.0), "asks for a plain fact"))
    value = BASE + sum(point for point, _ in points)
    told = sorted((point for point in points if abs(point[0]) >= 0.5), key=lambda point: -abs(point[0]))
    return Complexity(min(max(value, 0.0), TOP), tuple(reason for _, reason in told[:MOST_REASONS]))


def _demanded(demands: dict[Demand, float]) -> list[tuple[float, str]]:
    def much(demand: Demand, first: float, most: float) -> float:
        """The first sign counts in full, further ones add half as much each."""
        count = demands.get(demand, 0.0)
        return min(first * (1 + count) / 2, most) if count else 0.0

    return [
        (much(Demand.PROOF, 2.8, 4.5), "asks for a proof or a derivation"),
        (much(Demand.STEPS, 0.7, 2.0), "asks for several steps"),
        (much(Demand.WEIGHING, 1.2, 2.6), "asks to weigh or to design"),
        (much(Demand.DEPTH, 0.6, 2.0), "asks for an explanation"),
        (much(Demand.CONDITIONS, 0.5, 2.0), "sets conditions"),
        (much(Demand.HYPOTHESIS, 0.4, 1.2), "supposes a case"),
        (much(Demand.QUANTITY, 0.5, 2.0), "asks for a calculation"),
    ]


def _formed(marks: Marks) -> list[tuple[float, str]]:
    return [
        (min(0.35 * marks.formulas, 2.5), "contains mathematics"),
        (min(0.12 * marks.numbers, 1.0), "contains many numbers"),
        (min(0.5 * marks.code, 1.5), "contains code"),
        (min(0.25 * marks.items, 1.0), "has several parts"),
        (min(0.4 * max(marks.questions - 1, 0), 1.2), "asks several questions"),
    ]


def _domain(domain: types_pb2.DomainSignal, professional: bool, marks: Marks) -> list[tuple[float, str]]:
    if domain.value not in _DOMAINS:
        return []
    points, name = _DOMAINS[domain.value]
    if marks.clinical_ages and domain.value == types_pb2.DOMAIN_MEDICAL:
        return [(points + 1.5, "describes a clinical case")]
    if professional:
        return [(points + 1.0, f"{name} question of a professional")]
    return [(points, f"{name} question")]
