"""Deployments and demands of tests."""

from __future__ import annotations

from typing import Final

import numpy as np

from tandem.catalogue import Catalogue, Latency
from tandem.simulation.demand import Drawn
from tandem.simulation.deployment import Deployment
from tandem.simulation.fates import NO_MISHAPS, STEADY
from tandem.simulation.fleet import Engines
from tandem.simulation.lengths import parse_lengths
from tandem.simulation.traffic import Traffic
from tests.unit.simulation.worlds import CATALOGUE, POLICY

PLAIN: Final = Engines(full=1.0, spread=STEADY, mishaps=NO_MISHAPS)
"""Every token takes the same time."""
DEMAND: Final = Drawn(
    parse_lengths("p50=300,p90=900"), parse_lengths("p50=100,p90=220"), deadline=12.0, pro_share=0.2
)


def catalogue(places: int, latency: Latency) -> Catalogue:
    """Return the usual tiers with other places and another speed."""
    tiers = {
        name: tier.model_copy(
            update={
                "variants": {
                    key: variant.model_copy(update={"concurrency": places, "latency": latency})
                    for key, variant in tier.variants.items()
                }
            }
        )
        for name, tier in CATALOGUE.tiers.items()
    }
    return CATALOGUE.model_copy(update={"tiers": tiers})


def deployment(count: int = 1, places: int = 10) -> Deployment:
    """Return so many of everything."""
    found = catalogue(places, Latency(ttft_ms=250, tpot_ms=20))
    return Deployment(found, POLICY, dict.fromkeys(found.tiers, count), count)


def queue(places: int, token_ms: float) -> Deployment:
    """Return one replica that takes the same time for every token, the first included, and a policy without limits."""
    sampling = POLICY.sampling.model_copy(update={"max_tokens": 1_000_000})
    policy = POLICY.model_copy(update={"sampling": sampling})
    found = catalogue(places, Latency(ttft_ms=token_ms, tpot_ms=token_ms))
    return Deployment(found, policy, dict.fromkeys(found.tiers, 1))


def easy(arrivals: np.ndarray, tokens: np.ndarray, deadline: float = 100_000.0) -> Traffic:
    """Return requests that R1 surely suffices for."""
    many = len(arrivals)
    return Traffic(
        arrivals=arrivals.tolist(),
        deadlines=[deadline] * many,
        prompt_tokens=[0] * many,
        wanted_tokens=tokens.tolist(),
        r1_suffices=[1.0] * many,
        expected_gain=[0.0] * many,
    )
