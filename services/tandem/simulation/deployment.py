"""What is deployed, and the arithmetic of how much it can answer (docs/operations/capacity.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tandem.catalogue import Catalogue, Latency
from tandem.orchestrator.policy import Policy
from tandem.simulation.traffic import Questions


@dataclass(frozen=True, slots=True)
class Deployment:
    """Orchestrators, and replicas of every tier."""

    catalogue: Catalogue
    policy: Policy
    replicas: Mapping[str, int]
    """By tier, each 1 or more."""
    orchestrators: int = 1
    same_accelerators: bool = False
    """True if all tiers lie on the same ones, which the simulation does not know: it gives each its own."""

    @property
    def cells(self) -> int:
        """Into how many equal parts it can be divided: an orchestrator or some, with their share of all replicas."""
        return math.gcd(self.orchestrators, *self.replicas.values())

    def divided(self, cells: int) -> Deployment:
        """Return one of so many equal parts, a divisor of `cells`."""
        replicas = {tier: count // cells for tier, count in self.replicas.items()}
        return replace(self, replicas=replicas, orchestrators=self.orchestrators // cells)

    def times(self, many: int) -> Deployment:
        """Return so many times as much of everything."""
        replicas = {tier: count * many for tier, count in self.replicas.items()}
        return replace(self, replicas=replicas, orchestrators=self.orchestrators * many)

    def places(self, tier: str) -> int:
        """Return how many sequences the replicas of a tier compute at a time, of its first variant."""
        return self.replicas[tier] * self.catalogue.variant(tier).concurrency


@dataclass(frozen=True, slots=True)
class TierLoad:
    """What a tier bears, by Little's law."""

    tier: str
    share: float
    """Part of the requests that it answers."""
    places: int
    """Attempts at a time that its replicas compute; any number of orchestrators fills them."""
    hold_seconds: float
    """How long an answer takes when all places are taken."""

    @property
    def per_second(self) -> float:
        """Requests of the whole deployment per second that fill this tier."""
        return self.places / self.hold_seconds / self.share if self.share else math.inf


def loads(deployment: Deployment, questions: Questions, full: float) -> list[TierLoad]:
    """Return what each of the two tiers bears, by hand: places ÷ time that one is held ÷ share of the requests.

    Args:
        deployment: what is deployed.
        questions: what is asked, for its means.
        full: time per token when all places are taken, as a multiple of that of an attempt alone.
    """
    policy = deployment.policy
    suffices = questions.r1_suffices >= policy.routing.threshold
    shares = {policy.routing.cheap: float(suffices.mean()), policy.routing.strong: float(1 - suffices.mean())}
    prompt = float(questions.prompt_tokens.mean())
    tokens = float(np.minimum(questions.wanted_tokens, policy.sampling.max_tokens).mean())
    found = []
    for tier, share in shares.items():
        variant = deployment.catalogue.variant(tier)
        hold = full * hold_seconds(variant.latency, prompt, tokens)
        found.append(TierLoad(tier, share, deployment.places(tier), hold))
    return found


def hold_seconds(latency: Latency, prompt_tokens: float, tokens: float) -> float:
    """Return how long a place is held for an answer by a model that has nothing else to do."""
    ttft_ms = latency.ttft_ms + latency.ttft_ms_per_1000_tokens * prompt_tokens / 1000.0
    return (ttft_ms + tokens * latency.tpot_ms) / 1000.0
