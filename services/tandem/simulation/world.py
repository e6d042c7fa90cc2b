"""A world to answer requests in: models, traffic, luck and trouble, all drawn from one seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tandem.catalogue import Catalogue, Latency, Tier, Variant
from tandem.simulation.chance import generator
from tandem.simulation.episodes import NEVER, Trouble, draw
from tandem.simulation.fates import USUAL, Fates, Mishaps
from tandem.simulation.machine import FULL, Weather
from tandem.simulation.tiers import Luck, SimulatedTier
from tandem.simulation.traffic import KINDS, PRO_SHARE, Kind, Questions, Traffic, draw_questions, draw_traffic

SPEEDS: Final[Mapping[str, Latency]] = {
    "r1": Latency(ttft_ms=120, ttft_ms_per_1000_tokens=60, tpot_ms=12),
    "pro": Latency(ttft_ms=250, ttft_ms_per_1000_tokens=150, tpot_ms=24),
}
"""Medians of an attempt alone: accelerators, where the shipped catalogue describes two cores."""


@dataclass(frozen=True, slots=True)
class TierTrouble:
    """What goes wrong with a tier, and how often."""

    outages: Trouble = NEVER
    hangs: Trouble = NEVER
    shortages: Trouble = NEVER
    slow: Trouble = NEVER

    def draw(self, horizon: float, random: np.random.Generator) -> Weather:
        """Return what goes wrong, and when."""
        return Weather(
            outages=draw(self.outages, horizon, random),
            hangs=draw(self.hangs, horizon, random),
            shortages=draw(self.shortages, horizon, random),
            slow=draw(self.slow, horizon, random),
        )


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a world is like."""

    name: str
    load: float
    """Arrivals as a multiple of what the tiers can finish, taken over time."""
    kinds: Sequence[Kind] = KINDS
    """Who asks."""
    bursts: Trouble = NEVER
    """When more arrive."""
    trouble: Mapping[str, TierTrouble] = field(default_factory=dict)
    """What goes wrong, by tier."""
    mishaps: Mishaps = USUAL
    """What goes wrong with single attempts."""


class World:
    """Everything that is drawn; the same seed, scenario and number of requests give the same world.

    Args:
        catalogue: the tiers, with their true speeds.
        scenario: what the world is like.
        requests: how many there are, 1 or more.
        seed: of all that is drawn.
    """

    def __init__(self, catalogue: Catalogue, scenario: Scenario, requests: int, seed: int) -> None:
        self.catalogue = catalogue
        self.scenario = scenario
        self.seed = seed
        questions = draw_questions(scenario.kinds, requests, self._random("questions"))
        rate = scenario.load * capacity(catalogue, questions)
        self.traffic: Traffic = draw_traffic(questions, rate, scenario.bursts, self._random("arrivals"))
        self._fates = {
            (tier, variant): Fates(requests, scenario.mishaps, self._random(f"{tier}/{variant}"))
            for tier, variant, _ in _variants(catalogue)
        }
        self._weather = {
            tier: scenario.trouble.get(tier, TierTrouble()).draw(self.traffic.seconds, self._random(tier))
            for tier in catalogue.tiers
        }

    def tiers(self) -> dict[str, SimulatedTier]:
        """Return the tiers as they are before the first request."""
        return {name: self._tier(name, tier) for name, tier in self.catalogue.tiers.items()}

    def _tier(self, name: str, tier: Tier) -> SimulatedTier:
        fates = {variant: self._fates[name, variant] for variant in tier.variants}
        return SimulatedTier(name, tier, self.traffic, Luck(fates, self._weather[name]))

    def _random(self, purpose: str) -> np.random.Generator:
        return generator(self.seed, purpose)


def capacity(catalogue: Catalogue, questions: Questions) -> float:
    """Return the requests per second at which the first tier is full, if every answer were given to its end."""
    tokens, prompt = float(questions.wanted_tokens.mean()), float(questions.prompt_tokens.mean())
    shares = {"r1": 1.0 - PRO_SHARE, "pro": PRO_SHARE}
    rates = []
    for name, share in shares.items():
        tier = catalogue.tier(name)
        variant = tier.variants[tier.default_variant]
        ttft_ms = variant.latency.ttft_ms + variant.latency.ttft_ms_per_1000_tokens * prompt / 1000.0
        seconds = FULL * (ttft_ms + tokens * variant.latency.tpot_ms) / 1000.0
        rates.append(variant.concurrency / seconds / share)
    return min(rates)


def on_accelerators(catalogue: Catalogue) -> Catalogue:
    """Return a catalogue of the same tiers at the speed of accelerators."""
    tiers = {
        name: tier.model_copy(
            update={
                "variants": {
                    key: variant.model_copy(update={"latency": SPEEDS[name]})
                    for key, variant in tier.variants.items()
                }
            }
        )
        for name, tier in catalogue.tiers.items()
    }
    return catalogue.model_copy(update={"tiers": tiers})


def _variants(catalogue: Catalogue) -> Iterator[tuple[str, str, Variant]]:
    for name, tier in catalogue.tiers.items():
        for key, variant in tier.variants.items():
            yield name, key, variant
