"""The vote by the reliability of each voice alone: where nothing was learned of these voices together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from tandem.fusion.ballot import Cast
from tandem.fusion.grouping import Group
from tandem.fusion.normalise import Kind
from tandem.fusion.verdict import Scored, Verdict
from tandem.v1 import types_pb2

LEAST_RELIABILITY: Final = 0.5
MOST_RELIABILITY: Final = 0.99
UNKNOWN_CONFIDENCE: Final = 0.5

Reliability = Callable[[str], float | None]
"""Voice → probability that it is right; None: not known."""


def weights(cast: Cast, reliability: Reliability, unknown: float) -> list[float]:
    """Return each candidate's weight: log-odds of its reliability × (1 + its confidence) / 2; 0 if it says nothing."""
    return [
        0.0 if form.kind is Kind.NOTHING else _log_odds(reliability(voice), unknown) * stretch(confidence)
        for voice, form, confidence in zip(cast.voices, cast.forms, cast.confidences, strict=True)
    ]


def stretch(confidence: float | None) -> float:
    """Return by what the confidence of an attempt multiplies its weight: 0.5 … 1, 0.75 if it is not known."""
    return (1.0 + (UNKNOWN_CONFIDENCE if confidence is None else confidence)) / 2.0


def reliability_vote(cast: Cast, weighed: Sequence[float]) -> Verdict:
    """Let the heaviest group win; of equal ones the first. If nothing weighs anything, abstain for the first one."""
    scored = sorted((_scored(cast, group, weighed) for group in cast.groups), key=lambda one: -one.score)
    rule = types_pb2.FUSION_RULE_RELIABILITY_VOTE if any(weighed) else types_pb2.FUSION_RULE_ABSTAINED
    return Verdict(rule, scored, weighed)


def _scored(cast: Cast, group: Group, weighed: Sequence[float]) -> Scored:
    terms = [(cast.voices[index], weighed[index]) for index in group.members]
    return Scored(group, math.fsum(value for _, value in terms), terms)


def _log_odds(reliability: float | None, unknown: float) -> float:
    kept = min(max(unknown if reliability is None else reliability, LEAST_RELIABILITY), MOST_RELIABILITY)
    return math.log(kept / (1 - kept))
