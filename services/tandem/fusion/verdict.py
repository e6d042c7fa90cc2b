"""What a rule says about the candidates, and how that is written into the contract's message."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tandem.fusion.grouping import Group
from tandem.fusion.normalise import Kind, Normal
from tandem.v1 import fusion_pb2, types_pb2

DISSENT_CHARACTERS: Final = 4096
"""Longest losing text that is handed back."""
MOST_TERMS: Final = 64
"""Terms of a score that are handed back, the largest; what the others add up to is one more."""
FORMS: Final = {
    Kind.NOTHING: types_pb2.ANSWER_FORM_UNSPECIFIED,
    Kind.CHOICE: types_pb2.ANSWER_FORM_CHOICE,
    Kind.BOOLEAN: types_pb2.ANSWER_FORM_BOOLEAN,
    Kind.NUMBER: types_pb2.ANSWER_FORM_NUMBER,
    Kind.LABEL: types_pb2.ANSWER_FORM_LABEL,
    Kind.SET: types_pb2.ANSWER_FORM_SET,
    Kind.JSON: types_pb2.ANSWER_FORM_JSON,
    Kind.CODE: types_pb2.ANSWER_FORM_CODE,
    Kind.TEXT: types_pb2.ANSWER_FORM_SHORT_TEXT,
    Kind.LONG: types_pb2.ANSWER_FORM_LONG_TEXT,
    Kind.EXACT: types_pb2.ANSWER_FORM_EXACT,
}


@dataclass(frozen=True, slots=True)
class Scored:
    """A group with its score."""

    group: Group
    score: float
    terms: Sequence[tuple[str, float]]
    """What the score is the sum of: name and value."""
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says."""

    rule: types_pb2.FusionRule.ValueType
    scored: Sequence[Scored]
    """All groups, the winner first, the others by score."""
    weights: Sequence[float]
    """Of each candidate, 0 or more."""
    agreement: float | None = None
    """0 to 1. None: the winning group's part of all weight."""


def response(
    candidates: Sequence[fusion_pb2.Candidate], forms: Sequence[Normal], verdict: Verdict
) -> fusion_pb2.FuseResponse:
    """Return the answer that a verdict chooses, and why."""
    weights = verdict.weights
    winner = verdict.scored[0].group if verdict.scored else None
    chosen = max(winner.members, key=weights.__getitem__) if winner else 0
    fusion = types_pb2.Fusion(
        agreement=_agreement(verdict),
        abstained=verdict.rule == types_pb2.FUSION_RULE_ABSTAINED,
        winner=chosen,
        rule=verdict.rule,
    )
    for candidate, form, weight in zip(candidates, forms, weights, strict=True):
        fusion.ballots.add(
            target=candidate.target, normalised=form.value, weight=weight, form=FORMS[form.kind]
        )
    losers = [(_weight(scored.group, weights), scored.group) for scored in verdict.scored[1:]]
    for weight, group in sorted(losers, key=lambda lost: -lost[0]):
        fusion.dissent.append(_dissent(group, weight, candidates, weights))
    for scored in verdict.scored:
        fusion.groups.append(_group_score(scored))
    if verdict.scored and (expected := verdict.scored[0].probability) is not None:
        fusion.expected_correctness = expected
    return fusion_pb2.FuseResponse(text=candidates[chosen].text, fusion=fusion)


def _agreement(verdict: Verdict) -> float:
    if sum(len(scored.group.members) for scored in verdict.scored) == 1:
        return 1.0
    if verdict.agreement is not None:
        return verdict.agreement
    total = math.fsum(verdict.weights)
    return min(_weight(verdict.scored[0].group, verdict.weights) / total, 1.0) if total else 0.0


def _weight(group: Group, weights: Sequence[float]) -> float:
    return math.fsum(weights[index] for index in group.members)


def _dissent(
    group: Group, weight: float, candidates: Sequence[fusion_pb2.Candidate], weights: Sequence[float]
) -> types_pb2.Dissent:
    heaviest = max(group.members, key=weights.__getitem__)
    return types_pb2.Dissent(
        normalised=group.form.value,
        text=candidates[heaviest].text[:DISSENT_CHARACTERS],
        weight=weight,
        targets=[candidates[index].target for index in group.members],
    )


def _group_score(scored: Scored) -> types_pb2.GroupScore:
    message = types_pb2.GroupScore(
        normalised=scored.group.form.value,
        score=scored.score,
        candidates=scored.group.members,
        probability=scored.probability,
    )
    terms = sorted(scored.terms, key=lambda term: -abs(term[1]))
    for name, value in terms[:MOST_TERMS]:
        message.terms.add(name=name, value=value)
    if rest := terms[MOST_TERMS:]:
        message.terms.add(name=f"{len(rest)} smaller terms", value=math.fsum(value for _, value in rest))
    return message
