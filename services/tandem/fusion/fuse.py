"""Chooses one answer of several by a weighted vote."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tandem.call import Call
from tandem.fusion.normalise import Kind, Normal, normalise
from tandem.v1 import fusion_pb2, types_pb2

DEFAULT_RELIABILITY: Final = 0.6
"""Probability of a right answer of a tier about which nothing is known."""
LEAST_RELIABILITY: Final = 0.5
MOST_RELIABILITY: Final = 0.99
UNKNOWN_CONFIDENCE: Final = 0.5
DISSENT_CHARACTERS: Final = 4096
"""Longest losing text that is handed back."""


@dataclass(slots=True)
class _Group:
    """Candidates that say the same."""

    form: Normal
    members: list[int] = field(default_factory=list)
    weight: float = 0.0


class FusionCore:
    """Votes; satisfies `tandem.protocols.Fusion`.

    The rule:

    1. Every answer is brought into comparable form (`normalise`); candidates with the same form are a group. An
       empty answer is in no group and weighs 0.
    2. A candidate weighs ln(p / (1 - p)) × (1 + c) / 2, with p the reliability of its tier, clipped to 0.5 … 0.99,
       and c the confidence of its attempt, 0.5 if unknown. So a tier that is right half of the time has no weight,
       and a sure attempt weighs up to twice as much as an unsure one: confidences of models are too optimistic to
       count for more.
    3. The heaviest group wins, of equal ones the one whose first candidate was given first. Its answer is the text
       of its heaviest member, unchanged.
    4. Agreement is the weight of the winning group over the weight of all. A single candidate agrees with itself.
    5. Every other group is handed back as dissent, however light it is.
    6. If nothing weighs anything, the vote abstains: the first usable candidate, else the first one, is the answer.

    Args:
        reliability: probability of a right answer by name of tier; a tier that is missing has 0.6.
    """

    def __init__(self, reliability: Mapping[str, float] = MappingProxyType({})) -> None:
        self._reliability = dict(reliability)

    async def fuse(self, request: fusion_pb2.FuseRequest, call: Call) -> fusion_pb2.FuseResponse:
        """Choose by weighted vote; never waits and never fails for any text."""
        candidates = request.candidates
        numeric = request.task == types_pb2.TASK_MATHEMATICS
        forms = [normalise(candidate.text, numeric) for candidate in candidates]
        weights = [self._weight(candidate, form) for candidate, form in zip(candidates, forms, strict=True)]
        groups = _grouped(forms, weights)
        total = math.fsum(weights)
        winner = max(groups, key=lambda group: group.weight, default=None)
        chosen = max(winner.members, key=weights.__getitem__) if winner else 0
        fusion = types_pb2.Fusion(
            agreement=_agreement(winner, total, len(candidates)), abstained=total == 0, winner=chosen
        )
        for candidate, form, weight in zip(candidates, forms, weights, strict=True):
            fusion.ballots.add(target=candidate.target, normalised=form.value, weight=weight)
        for group in sorted(groups, key=lambda group: group.weight, reverse=True):
            if group is not winner:
                fusion.dissent.append(_dissent(group, candidates, weights))
        return fusion_pb2.FuseResponse(text=candidates[chosen].text, fusion=fusion)

    def _weight(self, candidate: fusion_pb2.Candidate, form: Normal) -> float:
        if form.kind is Kind.NOTHING:
            return 0.0
        reliability = self._reliability.get(candidate.target.tier, DEFAULT_RELIABILITY)
        reliability = min(max(reliability, LEAST_RELIABILITY), MOST_RELIABILITY)
        confidence = candidate.confidence if candidate.HasField("confidence") else UNKNOWN_CONFIDENCE
        return math.log(reliability / (1 - reliability)) * (1 + confidence) / 2


def _grouped(forms: Sequence[Normal], weights: Sequence[float]) -> list[_Group]:
    groups: dict[Normal, _Group] = {}
    for index, form in enumerate(forms):
        if form.kind is not Kind.NOTHING:
            groups.setdefault(form, _Group(form)).members.append(index)
    for group in groups.values():
        group.weight = math.fsum(weights[index] for index in group.members)
    return list(groups.values())


def _agreement(winner: _Group | None, total: float, candidates: int) -> float:
    if candidates == 1:
        return 1.0
    return min(winner.weight / total, 1.0) if winner and total else 0.0


def _dissent(
    group: _Group, candidates: Sequence[fusion_pb2.Candidate], weights: Sequence[float]
) -> types_pb2.Dissent:
    heaviest = max(group.members, key=weights.__getitem__)
    return types_pb2.Dissent(
        normalised=group.form.value,
        text=candidates[heaviest].text[:DISSENT_CHARACTERS],
        weight=group.weight,
        targets=[candidates[index].target for index in group.members],
    )
