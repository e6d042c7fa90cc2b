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


def fail(breaker: Breaker, cause: types_pb2.AttemptOutcome.ValueType = DEAD) -> None:
    breaker.failed(cause, breaker.enter())


def succeed(breaker: Breaker) -> None:
    breaker.succeeded(breaker.enter())


def broken() -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(3):
        fail(breaker)
    return breaker


async def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(POLICY)
    fail(breaker, FULL)
    fail(breaker, FULL)
    succeed(breaker)
    fail(breaker, FULL)
    fail(breaker, FULL)
    assert breaker.state == CLOSED
    fail(breaker)
    assert (breaker.state, breaker.admits, breaker.cause) == (OPEN, False, DEAD)


async def test_two_in_five_of_the_recent_attempts_open_it() -> None:
    breaker = Breaker(POLICY)
    for failed in (True, False, False, True, False, False, False, True, False):
        fail(breaker) if failed else succeed(breaker)
    assert breaker.state == CLOSED, "nine attempts say nothing yet"
    fail(breaker)
    assert breaker.state == OPEN


async def test_a_few_failures_among_many_answers_do_not() -> None:
    breaker = Breaker(POLICY)
    for _ in range(100):
        fail(breaker)
        for _ in range(3):
            succeed(breaker)
    assert breaker.state == CLOSED


async def test_after_the_pause_a_few_requests_try_it() -> None:
    breaker = broken()
    assert breaker.pause_seconds == pytest.approx(1.0)
    await asyncio.sleep(0.999)
    assert breaker.state == OPEN
    await asyncio.sleep(0.001)
    assert (breaker.state, breaker.admits) == (HALF_OPEN, True)
    first = breaker.enter()
    assert not breaker.admits, "one at a time at first"
    breaker.succeeded(first)
    assert (breaker.state, breaker.admits) == (HALF_OPEN, True)
    breaker.enter()
    assert breaker.admits, "then two"
    second = breaker.enter()
    assert not breaker.admits
    breaker.succeeded(second)
    assert breaker.state == CLOSED


async def test_a_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    breaker = broken()
    pauses = []
    for _ in range(3):
        began = asyncio.get_running_loop().time()
        while breaker.state == OPEN:
            await asyncio.sleep(0.5)
        pauses.append(asyncio.get_running_loop().time() - began)
        fail(breaker)
    assert pauses == [1.0, 2.0, 3.0]


async def test_a_probe_that_says_nothing_lets_another_one_try() -> None:
    breaker = broken()
    await asyncio.sleep(1.0)
    breaker.left(breaker.enter())
    assert breaker.admits
    assert breaker.state == HALF_OPEN


async def sicken(breaker: Breaker) -> float:
    """Let it open, and close again after its pause; return how long that was."""
    for _ in range(3):
        fail(breaker)
    pause = breaker.pause_seconds
    await asyncio.sleep(pause)
    for _ in range(2):
        succeed(breaker)
    assert breaker.state == CLOSED
    return pause


async def test_what_passes_the_probes_by_chance_gets_longer_and_longer_pauses() -> None:
    breaker = Breaker(POLICY)
    assert [await sicken(breaker) for _ in range(4)] == [pytest.approx(s) for s in (1.0, 2.0, 3.0, 3.0)]


async def test_the_pause_is_short_again_when_it_was_well_for_long_enough() -> None:
    breaker = Breaker(POLICY)
    await sicken(breaker)
    await sicken(breaker)
    await asyncio.sleep(9.0)
    assert await sicken(breaker) == pytest.approx(1.0)


async def test_attempts_that_began_before_it_opened_say_nothing() -> None:
    breaker = Breaker(POLICY)
    old = [breaker.enter() for _ in range(9)]
    for _ in range(3):
        breaker.failed(DEAD, old.pop())
    assert breaker.state == OPEN
    breaker.succeeded(old.pop())
    assert breaker.state == OPEN
    await asyncio.sleep(1.0)
    probe = breaker.enter()
    breaker.failed(DEAD, old.pop())
    breaker.succeeded(old.pop())
    breaker.left(old.pop())
    assert (breaker.state, breaker.admits) == (HALF_OPEN, False), "the probe is still under way"
    breaker.succeeded(probe)
    assert breaker.admits
