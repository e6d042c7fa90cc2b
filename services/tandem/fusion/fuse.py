"""Chooses one answer of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, Protocol

from tandem.call import Call
from tandem.fusion.artifact import Artifact
from tandem.fusion.ballot import Cast, cast
from tandem.fusion.learned_vote import LearnedVotes
from tandem.fusion.minimum_risk import minimum_risk
from tandem.fusion.reliability_vote import reliability_vote, weights
from tandem.fusion.verdict import Verdict, response
from tandem.v1 import fusion_pb2

DEFAULT_RELIABILITY: Final = 0.6
"""Probability of a right answer of a voice about which nothing is known."""


class Weighing(Protocol):
    """Holds what was learned; it may be replaced between requests."""

    @property
    def learned(self) -> Learnt:
        """What is known now."""
        ...


class Learnt:
    """An artifact, ready to vote with; satisfies `Weighing` by itself."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.votes = LearnedVotes(artifact)
        self.voices = frozenset(artifact.voices).union(*(panel.voices for panel in artifact.panels))

    @property
    def learned(self) -> Learnt:
        """Itself."""
        return self


NOTHING_LEARNED: Final = Learnt(Artifact())


class FusionCore:
    """Votes; satisfies `tandem.protocols.Fusion`.

    The rule:

    1. Every answer is brought into comparable form (`normalise`); candidates with the same form are a group
       (`grouped`). An empty answer is in no group and weighs 0.
    2. If most answers are long texts, the one most like the others is chosen (`minimum_risk`).
    3. If weights were learned for these voices together, their vote decides, or, where that was not measured to be
       better, the most reliable voice (`LearnedVotes`).
    4. Else every candidate weighs the log-odds of its voice's reliability times its confidence, and the heaviest group
       wins (`reliability_vote`). If nothing weighs anything, the vote abstains: the first usable candidate.
    5. The answer is the text of the winning group's heaviest member, unchanged; of equal ones the first. Every other
       group is handed back as dissent, however light it is.

    Args:
        reliability: probability of a right answer by name of tier. It goes before what was learned of single voices; a
            voice that neither knows has 0.6.
        weighing: what was learned.
    """

    def __init__(
        self,
        reliability: Mapping[str, float] = MappingProxyType({}),
        weighing: Weighing = NOTHING_LEARNED,
    ) -> None:
        self._reliability = dict(reliability)
        self._weighing = weighing

    async def fuse(self, request: fusion_pb2.FuseRequest, call: Call) -> fusion_pb2.FuseResponse:
        """Choose; never waits and never fails for any text."""
        return self.decide(request)

    def decide(self, request: fusion_pb2.FuseRequest) -> fusion_pb2.FuseResponse:
        """Choose one of at least one candidate."""
        learned = self._weighing.learned
        asked = cast(request, learned.voices)
        fused = response(request.candidates, asked.forms, self._verdict(request, asked, learned))
        fused.fusion.artifact_revision = learned.artifact.revision
        return fused

    def _verdict(self, request: fusion_pb2.FuseRequest, asked: Cast, learned: Learnt) -> Verdict:
        if asked.groups and not asked.is_long and (vote := learned.votes.panel(asked)):
            return vote.verdict(asked)

        def reliability(voice: str) -> float | None:
            if voice in self._reliability:
                return self._reliability[voice]
            known = learned.artifact.voices.get(voice)
            return known.in_context(asked.contexts) if known else None

        weighed = weights(asked, reliability, DEFAULT_RELIABILITY)
        if asked.is_long:
            return minimum_risk(asked, [candidate.text for candidate in request.candidates], weighed)
        verdict = reliability_vote(asked, weighed)
        if len(asked.speaking) == len(asked.groups) == 1 and (known := reliability(*asked.speaking)):
            return replace(verdict, scored=[replace(verdict.scored[0], probability=known)])
        return verdict
