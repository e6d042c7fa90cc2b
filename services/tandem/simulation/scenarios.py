"""The worlds in which contenders are compared: healthy ones under more and more load, and others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tandem.simulation.episodes import Trouble
from tandem.simulation.world import Scenario, TierTrouble

LOADS: Final = (0.5, 0.8, 1.0, 1.2, 2.0)
"""Arrivals of the healthy worlds, as multiples of the capacity."""
FAULT_LOAD: Final = 0.7
"""Arrivals where something fails: what is left can carry a part of it."""
HANGS: Final = Trouble(share=0.1, mean_seconds=10.0)
SHORTAGES: Final = Trouble(share=0.1, mean_seconds=20.0)
OUTAGES: Final = Trouble(share=0.05, mean_seconds=15.0)
SLOW: Final = Trouble(share=0.2, mean_seconds=20.0)
BURSTS: Final = Trouble(share=0.1, mean_seconds=5.0)
RARE: Final = Trouble(share=0.02, mean_seconds=15.0)
"""Of everything at once, each has its turn."""


def healthy(loads: Sequence[float] = LOADS) -> Iterator[Scenario]:
    """Yield worlds in which only single attempts fail now and then."""
    for load in loads:
        yield Scenario(f"healthy, load {load:g}", load)


def faulty() -> Iterator[Scenario]:
    """Yield worlds in which something fails again and again."""
    everything = TierTrouble(outages=RARE, hangs=RARE, shortages=RARE, slow=RARE)
    yield Scenario("bursts", FAULT_LOAD, bursts=BURSTS)
    yield Scenario("pro hangs", FAULT_LOAD, trouble={"pro": TierTrouble(hangs=HANGS)})
    yield Scenario("pro out of memory", FAULT_LOAD, trouble={"pro": TierTrouble(shortages=SHORTAGES)})
    yield Scenario("r1 outages", FAULT_LOAD, trouble={"r1": TierTrouble(outages=OUTAGES)})
    slow = TierTrouble(slow=SLOW)
    yield Scenario("both slow", FAULT_LOAD, trouble={"r1": slow, "pro": slow})
    yield Scenario("mixed", FAULT_LOAD, bursts=BURSTS, trouble={"r1": everything, "pro": everything})
