"""Would catch a simulated deployment that queues otherwise than queueing theory says.

Where all requests are alike for the orchestrator and engines have no spread, what is simulated is a queue that has been
understood for a century: places, first come, first served. The same arrivals and lengths are put through the recursion
of Kiefer and Wolfowitz, which must agree request by request; and the recursion, which is quick, must agree over many
requests with Erlang's C formula and with that of Pollaczek and Khinchine.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest

from tandem.call import Call
from tandem.simulation import virtual_time
from tandem.simulation.estimates import share
from tandem.simulation.fleet import Fleet, Site
from tandem.simulation.outcomes import Reply, Tally
from tandem.simulation.run import ask_all
from tests.unit.simulation.deployments import PLAIN, easy, queue

TOKEN_SECONDS = 0.001
MEAN_TOKENS = 1000.0
SERVICE = MEAN_TOKENS * TOKEN_SECONDS


class Times(Tally):
    """Keeps how long each request took."""

    def __init__(self) -> None:
        super().__init__("pro")
        self.seconds: dict[int, float] = {}

    def answered(self, call: Call, reply: Reply, seconds: float) -> None:
        self.seconds[int(call.request_id)] = seconds


def simulated(places: int, arrivals: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Return how long each request takes from question to answer."""
    site = Site(queue(places, 1000.0 * TOKEN_SECONDS), easy(arrivals, tokens), PLAIN, seed=1)
    times = Times()
    virtual_time.run(ask_all(site, Fleet(site), times))
    return np.array([times.seconds[number] for number in range(len(arrivals))])


def waits(places: int, arrivals: np.ndarray, services: np.ndarray) -> np.ndarray:
    """Return how long each request waits for a place, by the recursion."""
    free = [0.0] * places
    found = []
    for arrival, service in zip(arrivals.tolist(), services.tolist(), strict=True):
        start = max(arrival, heapq.heappop(free))
        heapq.heappush(free, start + service)
        found.append(start - arrival)
    return np.array(found)


def erlang_c(places: int, load: float) -> float:
    """Return the probability that an arrival waits, at a load in Erlang."""
    terms = [load**k / math.factorial(k) for k in range(places)]
    last = load**places / math.factorial(places) * places / (places - load)
    return last / (sum(terms) + last)


def drawn(utilisation: float, places: int, many: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return Poisson arrivals and exponential lengths."""
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(SERVICE / places / utilisation, many))
    return arrivals, np.ceil(random.exponential(MEAN_TOKENS, many)).astype(int)


@pytest.mark.parametrize(("places", "utilisation"), [(1, 0.5), (4, 0.8), (8, 1.2)])
def test_every_request_takes_as_long_as_the_recursion_says(places: int, utilisation: float) -> None:
    arrivals, tokens = drawn(utilisation, places, 400)
    services = tokens * TOKEN_SECONDS
    expected = waits(places, arrivals, services) + services
    assert simulated(places, arrivals, tokens) == pytest.approx(expected, abs=1e-6)


def test_constant_lengths_take_as_long_as_the_recursion_says() -> None:
    arrivals, _ = drawn(0.7, 2, 400)
    tokens = np.full(400, int(MEAN_TOKENS))
    expected = waits(2, arrivals, tokens * TOKEN_SECONDS) + SERVICE
    assert simulated(2, arrivals, tokens) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("places", "utilisation"), [(1, 0.5), (4, 0.8), (10, 0.9)])
def test_the_recursion_agrees_with_erlang(places: int, utilisation: float) -> None:
    arrivals, tokens = drawn(utilisation, places, 400_000)
    found = waits(places, arrivals, tokens * TOKEN_SECONDS)
    waiting = erlang_c(places, places * utilisation)
    assert (found > 0.0).mean() == pytest.approx(waiting, rel=0.04)
    assert found.mean() == pytest.approx(waiting * SERVICE / places / (1.0 - utilisation), rel=0.1)


def test_the_recursion_agrees_with_pollaczek_and_khinchine() -> None:
    arrivals, _ = drawn(0.7, 1, 400_000)
    found = waits(1, arrivals, np.full(400_000, SERVICE))
    assert found.mean() == pytest.approx(0.7 * SERVICE / (2.0 * (1.0 - 0.7)), rel=0.05)


def test_as_many_wait_as_erlang_says() -> None:
    arrivals, tokens = drawn(0.7, 3, 3000, seed=4)
    took = simulated(3, arrivals, tokens)
    waited = share((took > tokens * TOKEN_SECONDS + 1e-6).tolist())
    assert waited.low <= erlang_c(3, 3 * 0.7) <= waited.high
    assert waited.high - waited.low < 0.15
