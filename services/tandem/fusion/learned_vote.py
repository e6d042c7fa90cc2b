"""The learned vote: which agreement of these voices is worth what was measured on recorded answers.

A conditional logit (McFadden 1974) over the answers of one question and the case that none of them is right, whose
score is 0: an answer's score is the sum of its terms (tandem.fusion.terms) times their weights, and its probability
exp(score) / (1 + sum of exp(score)).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tandem.fusion.artifact import Artifact, Learned
from tandem.fusion.ballot import Cast
from tandem.fusion.grouping import Group
from tandem.fusion.normalise import Kind
from tandem.fusion.reliability_vote import stretch
from tandem.fusion.terms import of_group
from tandem.fusion.verdict import Scored, Verdict
from tandem.v1 import types_pb2

LEAST_SPEAKING: Final = 1 / 3
"""Part of a panel's voices that must say something."""


class LearnedVotes:
    """The panels of an artifact, found by the voices that say anything."""

    def __init__(self, artifact: Artifact) -> None:
        self._panels = [LearnedVote(learned) for learned in artifact.panels]

    def panel(self, cast: Cast) -> LearnedVote | None:
        """Return the panel for these voices; None if there is none.

        All voices that say anything must be in it, and be a third of it; so an empty answer decides nothing. Of
        several it is the one with the fewest voices that say nothing, then the one that knows most of the contexts,
        then the one that was asked most questions.
        """
        speaking = cast.speaking
        fitting = (
            vote
            for vote in self._panels
            if speaking <= vote.voices and len(speaking) >= LEAST_SPEAKING * len(vote.voices)
        )
        return min(
            fitting,
            key=lambda vote: (len(vote.voices), -vote.known(cast.contexts), -vote.learned.questions),
            default=None,
        )


class LearnedVote:
    """The vote of one panel."""

    def __init__(self, learned: Learned) -> None:
        self.learned = learned
        self.voices = frozenset(learned.voices)
        self._panel = learned.panel()
        self._weights = dict(learned.weights)
        self._contexts = frozenset(learned.contexts)

    def known(self, contexts: Sequence[str]) -> int:
        """Return how many of the contexts the panel was asked about."""
        return len(self._contexts.intersection(contexts))

    def verdict(self, cast: Cast) -> Verdict:
        """Score every group; by the panel's gate the best score wins, or the most reliable voice that says anything."""
        asked = Counter(cast.voices[at] for group in cast.groups for at in group.members)
        weights = [0.0] * len(cast.voices)
        scored = [self._scored(cast, group, asked, weights) for group in cast.groups]
        scored = _with_probabilities(scored)
        scored.sort(key=lambda one: -one.score)
        if self._rule(cast.contexts) == "best_single":
            best = self._best_single(cast)
            scored.sort(key=lambda one: best not in one.group.members)  # stable: the others stay by score
            return Verdict(types_pb2.FUSION_RULE_BEST_SINGLE, scored, weights)
        return Verdict(types_pb2.FUSION_RULE_LEARNED_VOTE, scored, weights)

    def _rule(self, contexts: Sequence[str]) -> str:
        """Return who answers; a question's field is its finest context, and one without any is in no known field."""
        gate = self.learned.gate
        if self._contexts and (not contexts or contexts[-1] not in self._contexts):
            return gate.unseen
        return gate.rule

    def _best_single(self, cast: Cast) -> int:
        order = {voice: place for place, voice in enumerate(self.learned.voices)}
        usable = (at for at, form in enumerate(cast.forms) if form.kind is not Kind.NOTHING)
        return min(usable, key=lambda at: (order[cast.voices[at]], at))

    def _scored(self, cast: Cast, group: Group, asked: Counter[str], weights: list[float]) -> Scored:
        """Return the score of a group, and put the weights of its candidates into `weights`."""
        said = Counter(cast.voices[index] for index in group.members)
        members = {voice: count / asked[voice] for voice, count in said.items()}
        answer = group.form.value if group.form.kind is Kind.CHOICE else ""
        terms = []
        own = self._own_reliability(members)
        for _, name, value, voice in of_group(self._panel, members, answer, cast.contexts):
            if weight := self._weights.get(name):
                terms.append((name, weight * value))
                if voice:
                    own[voice] += weight * value
        for index in group.members:
            voice = cast.voices[index]
            weights[index] = max(own[voice] / said[voice], 0.0)
        terms += self._confidence(cast, group)
        return Scored(group, math.fsum(value for _, value in terms), terms)

    def _own_reliability(self, members: dict[str, float]) -> dict[str, float]:
        weight = self._weights.get("reliability of its voices", 0.0)
        return {voice: weight * self._panel.log_odds[voice] * part for voice, part in members.items()}

    def _confidence(self, cast: Cast, group: Group) -> list[tuple[str, float]]:
        """Return by how much the confidences of attempts stretch the voices' own log-odds; nothing if none is known."""
        return [
            (
                f"confidence of {cast.voices[index]}",
                max(self._panel.log_odds[cast.voices[index]], 0.0)
                * (stretch(confidence) / stretch(None) - 1),
            )
            for index in group.members
            if (confidence := cast.confidences[index]) is not None
        ]


def _with_probabilities(scored: list[Scored]) -> list[Scored]:
    most = max([0.0, *(one.score for one in scored)])
    masses = [math.exp(one.score - most) for one in scored]
    total = math.fsum([*masses, math.exp(-most)])
    return [
        Scored(one.group, one.score, one.terms, mass / total)
        for one, mass in zip(scored, masses, strict=True)
    ]
