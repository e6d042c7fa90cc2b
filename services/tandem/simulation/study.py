"""How a deployment fares at a load, at many, and where its knee is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.call import Call
from tandem.simulation import virtual_time
from tandem.simulation.chance import generator
from tandem.simulation.demand import Demand
from tandem.simulation.deployment import Deployment, loads
from tandem.simulation.estimates import Estimate, quantile, share
from tandem.simulation.fleet import USUAL_ENGINES, Engines, Fleet, Site
from tandem.simulation.outcomes import Reply, Tally
from tandem.simulation.run import ask_all

WARM_UP: Final = 0.2
"""Part of the requests that come first and are not counted: everything is empty then."""
PATIENCES: Final = 20.0
"""A run lasts at least so many times as long as clients wait: a queue that grows without end is seen only then."""
SAMPLE: Final = 20_000
"""Questions from which means are found."""
OBJECTIVE: Final = 0.99
PRECISION: Final = 1.03
"""How far apart, as a factor, the last load that holds and the first that does not may stay."""


@dataclass(frozen=True, slots=True)
class Point:
    """What became of the requests at one load."""

    per_second: float
    """Requests that the whole deployment is sent."""
    counted: int
    """Requests that were simulated and counted, of one cell."""
    in_time: Estimate
    """Part of them that was answered by the deadline, degraded or not."""
    as_planned: Estimate
    """Part of them that was answered by the deadline, in full and by whom the plan named."""
    p50_ms: Estimate
    """Time to the answer, of those in time."""
    p99_ms: Estimate
    strong_share: float
    """Part of the answers in time that the strong tier ended."""
    reasons: dict[str, int]
    """Typed errors by their reason."""

    @property
    def goodput(self) -> float:
        """Answers in time per second."""
        return self.per_second * self.in_time.value

    @property
    def goodput_as_planned(self) -> float:
        """Those as planned among them."""
        return self.per_second * self.as_planned.value

    @property
    def degraded(self) -> float:
        """Part of the answers in time that are not as planned."""
        return 1.0 - self.as_planned.value / self.in_time.value if self.in_time.value else 0.0

    def holds(self, objective: float) -> bool:
        """Whether at least this part is answered as planned, with 95 % confidence."""
        return self.as_planned.low >= objective


@dataclass(frozen=True, slots=True)
class Study:
    """A deployment, what it is asked, and how well it is looked at.

    It is divided into equal cells, and one of them is simulated at its share of the load.
    """

    deployment: Deployment
    demand: Demand
    cells: int = 1
    """A divisor of the deployment's cells."""
    engines: Engines = USUAL_ENGINES
    requests: int = 4000
    """Simulated for each load, at least."""
    seed: int = 1

    def capacity(self) -> float:
        """Return the requests per second at which the tighter tier is full, by arithmetic."""
        sample = self.demand.sample(SAMPLE, generator(self.seed, "sample"))
        return min(load.per_second for load in loads(self.deployment, sample, self.engines.full))

    def at(self, per_second: float) -> Point:
        """Simulate one load of the whole deployment."""
        cell, load = self.deployment.divided(self.cells), per_second / self.cells
        requests = max(self.requests, math.ceil(load * PATIENCES * self._patience()))
        traffic = self.demand.traffic(load, requests, generator(self.seed, "traffic"))
        first = int(WARM_UP * requests)
        record = Record(self.deployment.policy.routing.strong, traffic.arrivals[first])
        virtual_time.run(_run(Site(cell, traffic, self.engines, self.seed), record))
        return record.point(per_second, range(first, requests))

    def sweep(self, rates: Sequence[float], objective: float, tell: Callable[[Point], None]) -> list[Point]:
        """Simulate several loads, rising, and then more of them around the knee."""
        points: list[Point] = []

        def look(per_second: float) -> None:
            points.append(self.at(per_second))
            tell(points[-1])
            points.sort(key=lambda point: point.per_second)

        for rate in rates:
            look(rate)
        last, beyond = knee(points, objective)
        while last and beyond and beyond.per_second > PRECISION * last.per_second:
            look(math.sqrt(last.per_second * beyond.per_second))
            last, beyond = knee(points, objective)
        return points

    def _patience(self) -> float:
        return float(self.demand.sample(SAMPLE, generator(self.seed, "sample")).deadlines.mean())


def knee(points: Sequence[Point], objective: float) -> tuple[Point | None, Point | None]:
    """Return the last load up to which all hold the objective, and the first that does not; None: there is none."""
    last = None
    for point in points:
        if not point.holds(objective):
            return last, point
        last = point
    return last, None


async def _run(site: Site, record: Record) -> None:
    fleet = Fleet(site)
    await ask_all(site, fleet, record)
    await fleet.tokens_booked()


class Record(Tally):
    """Notes what became of each request.

    Args:
        strong: name of the strong tier.
        since: requests that came before this time are not counted.
    """

    def __init__(self, strong: str, since: float) -> None:
        super().__init__(strong, since)
        self._answers: dict[int, tuple[float, bool]] = {}

    def answered(self, call: Call, reply: Reply, seconds: float) -> None:
        """Note an answer in time."""
        super().answered(call, reply, seconds)
        self._answers[int(call.request_id)] = (seconds, not (reply.degraded or reply.cut))

    def point(self, per_second: float, numbers: range) -> Point:
        """Return the figures of the requests with these numbers."""
        answers = [self._answers.get(number) for number in numbers]
        times = [1000.0 * answer[0] for answer in answers if answer]
        return Point(
            per_second=per_second,
            counted=len(numbers),
            in_time=share([answer is not None for answer in answers]),
            as_planned=share([answer is not None and answer[1] for answer in answers]),
            p50_ms=quantile(times, 0.5),
            p99_ms=quantile(times, 0.99),
            strong_share=self.strong / max(1, len(times)),
            reasons=dict(sorted(self.reasons.items())),
        )
