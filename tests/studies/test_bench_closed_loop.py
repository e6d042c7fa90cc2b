"""Would catch a load generator that counts outside of its window, hides a failure, or cuts requests off."""

from __future__ import annotations

import asyncio

import pytest

import closed_loop
from closed_loop import Load, RequestStuck, run_block
from question import OnTokens

TOKENS = 3


class Engine:
    """Answers after a set time and counts what it did."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = self.finished = self.running = self.most = 0

    async def ask(self, on_tokens: OnTokens) -> None:
        self.started += 1
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(self.seconds)
        on_tokens(TOKENS)
        self.running -= 1
        self.finished += 1


async def test_keeps_so_many_requests_running_and_lets_all_of_them_finish() -> None:
    engine = Engine(0.01)
    block = await run_block(engine.ask, Load(at_once=4, seconds=0.1, ramp_seconds=0.02), lambda: 0.0)
    assert engine.most == 4
    assert engine.started == engine.finished
    assert 0 < block.requests < engine.finished


async def test_tokens_and_times_are_those_of_the_window() -> None:
    engine = Engine(0.01)
    block = await run_block(engine.ask, Load(at_once=2, seconds=0.1, ramp_seconds=0.0), lambda: 0.0)
    assert block.tokens == TOKENS * block.requests
    assert len(block.latency_ms) == len(block.first_token_ms) <= block.requests
    assert min(block.latency_ms) >= 9.0
    assert block.seconds >= 0.1


async def test_what_began_before_the_window_has_no_time() -> None:
    block = await run_block(Engine(0.06).ask, Load(at_once=1, seconds=0.04, ramp_seconds=0.03), lambda: 0.0)
    assert block.requests == 1
    assert block.latency_ms == []


async def test_cpu_is_what_was_used_while_the_window_was_open() -> None:
    readings = iter([10.0, 12.5])
    block = await run_block(Engine(0.001).ask, Load(1, 0.01, 0.0), lambda: next(readings))
    assert block.cpu_seconds == 2.5


async def test_a_failed_request_fails_the_block() -> None:
    async def ask(on_tokens: OnTokens) -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        await run_block(ask, Load(at_once=3, seconds=5.0, ramp_seconds=0.0), lambda: 0.0)


async def test_a_request_without_an_end_fails_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_loop, "LEAVE_SECONDS", 0.01)
    with pytest.raises(RequestStuck):
        await run_block(Engine(60.0).ask, Load(1, 0.01, 0.0), lambda: 0.0)
