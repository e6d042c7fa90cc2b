"""Would catch: a breaker that opens on bad luck, lets a crowd onto a model that is still sick, or never closes."""

from __future__ import annotations

import asyncio

import pytest

from tandem.orchestrator.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from tandem.orchestrator.policy import BreakerPolicy
from tandem.v1 import types_pb2

pytestmark = pytest.mark.virtual_time

POLICY = BreakerPolicy(failures=3, pause_ms=1000, longest_pause_ms=3000, probes=2)
DEAD = types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE
FULL = types_pb2.ATTEMPT_OUTCOME_OUT_OF_MEMORY


def broken() -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(3):
        breaker.enter()
        breaker.failed(DEAD)
    return breaker


async def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(POLICY)
    breaker.failed(FULL)
    breaker.failed(FULL)
    breaker.succeeded()
    breaker.failed(FULL)
    breaker.failed(FULL)
    assert breaker.state == CLOSED
    breaker.failed(DEAD)
    assert (breaker.state, breaker.admits, breaker.cause) == (OPEN, False, DEAD)


async def test_half_of_the_recent_attempts_open_it() -> None:
    breaker = Breaker(POLICY)
    for _ in range(9):
        breaker.succeeded()
        breaker.failed(DEAD)
    assert breaker.state == CLOSED, "18 attempts say nothing yet"
    breaker.succeeded()
    breaker.failed(DEAD)
    assert breaker.state == OPEN


async def test_a_few_failures_among_many_answers_do_not() -> None:
    breaker = Breaker(POLICY)
    for _ in range(100):
        breaker.failed(DEAD)
        breaker.succeeded()
        breaker.succeeded()
    assert breaker.state == CLOSED


async def test_after_the_pause_one_request_at_a_time_tries_it() -> None:
    breaker = broken()
    await asyncio.sleep(0.999)
    assert breaker.state == OPEN
    await asyncio.sleep(0.001)
    assert (breaker.state, breaker.admits) == (HALF_OPEN, True)
    breaker.enter()
    assert not breaker.admits
    breaker.succeeded()
    assert (breaker.state, breaker.admits) == (HALF_OPEN, True)
    breaker.enter()
    breaker.succeeded()
    assert breaker.state == CLOSED


async def test_a_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    breaker = broken()
    pauses = []
    for _ in range(3):
        began = asyncio.get_running_loop().time()
        while breaker.state == OPEN:
            await asyncio.sleep(0.5)
        pauses.append(asyncio.get_running_loop().time() - began)
        breaker.enter()
        breaker.failed(DEAD)
    assert pauses == [1.0, 2.0, 3.0]


async def test_a_probe_that_says_nothing_lets_another_one_try() -> None:
    breaker = broken()
    await asyncio.sleep(1.0)
    breaker.enter()
    breaker.left()
    assert breaker.admits
    assert breaker.state == HALF_OPEN


async def test_the_pause_is_short_again_once_it_was_closed() -> None:
    breaker = broken()
    await asyncio.sleep(1.0)
    breaker.enter()
    breaker.failed(DEAD)
    await asyncio.sleep(2.0)
    for _ in range(2):
        breaker.enter()
        breaker.succeeded()
    assert breaker.state == CLOSED
    for _ in range(3):
        breaker.failed(DEAD)
    await asyncio.sleep(1.0)
    assert breaker.state == HALF_OPEN


async def test_attempts_that_began_before_it_opened_do_not_close_it() -> None:
    breaker = broken()
    breaker.succeeded()
    assert breaker.state == OPEN
    breaker.failed(DEAD)
    await asyncio.sleep(1.0)
    assert breaker.state == HALF_OPEN
