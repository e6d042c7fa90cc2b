"""The gate of a cascade: how likely a draft is to suffice, by what is known of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tandem.orchestrator.cascade_policy import Gate
from tandem.v1 import types_pb2

CLIP: Final = 0.001
"""Probabilities count as at least this, and at most one minus this: no signal alone decides for good."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a draft, each 0 to 1; None: not known."""

    confidence: float | None = None
    """Geometric mean of its token probabilities."""
    r1_suffices: float | None = None
    """The classifier's probability that the cheap tier suffices."""
    agreement: float | None = None
    """Part of the drafts, by weight, that say the same."""


def log_odds(probability: float | None) -> float:
    """Return ln(p / (1 - p)), clipped; 0 for a probability that is not known."""
    if probability is None:
        return 0.0
    clipped = min(max(probability, CLIP), 1.0 - CLIP)
    return math.log(clipped / (1.0 - clipped))


def sigmoid(score: float) -> float:
    """Return 1 / (1 + exp(-score))."""
    # For a large negative score exp(-score) would overflow.
    return 1.0 / (1.0 + math.exp(-score)) if score >= 0 else math.exp(score) / (1.0 + math.exp(score))


def probability(gate: Gate, evidence: Evidence) -> float:
    """Return the probability, 0 to 1, that a draft suffices; it rises with every signal, and never falls."""
    return sigmoid(
        gate.intercept
        + gate.confidence * log_odds(evidence.confidence)
        + gate.r1_suffices * log_odds(evidence.r1_suffices)
        + gate.agreement * log_odds(evidence.agreement)
    )


def judge(gate: Gate, threshold: float, evidence: Evidence) -> types_pb2.GateVerdict:
    """Return what the gate says about a draft. A threshold of 1 lets nothing pass."""
    found = probability(gate, evidence)
    return types_pb2.GateVerdict(
        probability=found,
        threshold=threshold,
        confidence=evidence.confidence,
        r1_suffices=evidence.r1_suffices,
        agreement=evidence.agreement,
        escalated=found < threshold or threshold >= 1.0,
    )


def agreement_of_first(fusion: types_pb2.Fusion) -> float | None:
    """Return the part of the weight of all that says the same as the first candidate; None: nothing weighs anything."""
    total = math.fsum(ballot.weight for ballot in fusion.ballots)
    if not total or not fusion.ballots[0].normalised:
        return None
    same = [b.weight for b in fusion.ballots if b.normalised == fusion.ballots[0].normalised]
    return min(1.0, math.fsum(same) / total)
