"""The choice among long texts: the one that is most like all of them, as no two say the same.

Minimum Bayes risk (Kumar and Byrne 2004; for generated text Freitag et al. 2022): with the candidates as the sample of
what might be right, the text of least expected loss is the one of greatest mean similarity, each weighed by its voice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from tandem.fusion.ballot import Cast
from tandem.fusion.similarity import similarities
from tandem.fusion.verdict import Scored, Verdict
from tandem.v1 import types_pb2


def minimum_risk(cast: Cast, texts: Sequence[str], weighed: Sequence[float]) -> Verdict:
    """Choose by mean similarity; of equally similar ones the first. The score is the mean, 0 to 1."""
    first = [group.members[0] for group in cast.groups]
    alike = similarities([texts[index] for index in first])
    masses = [math.fsum(weighed[index] for index in group.members) for group in cast.groups]
    if not any(masses):
        masses = [float(len(group.members)) for group in cast.groups]
    total = math.fsum(masses)
    scored = []
    for at, group in enumerate(cast.groups):
        terms = [
            (f"like {cast.voices[first[other]]}'s", float(alike[at, other]) * mass / total)
            for other, mass in enumerate(masses)
        ]
        scored.append(Scored(group, math.fsum(value for _, value in terms), terms))
    scored.sort(key=lambda one: -one.score)
    verdict = Verdict(types_pb2.FUSION_RULE_MINIMUM_RISK, scored, weighed)
    return replace(verdict, agreement=min(scored[0].score, 1.0))
