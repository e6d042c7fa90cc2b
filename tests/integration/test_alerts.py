"""Would catch an alert that stays silent, in a real Prometheus, at the fault that it is for, or that cries without one.

Rules and scrapes are 120 times as fast as in operation: an hour takes 30 seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tandem.client import Client
from tandem.embedded.triton import TritonProcess
from tandem.errors import TandemError
from tests.integration.asking import sim
from tests.prometheus import Prometheus, needs_prometheus, prometheus
from tests.system import POLICY, Tandem, metrics_of, simulated_tandem

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180), needs_prometheus]

TIMES = 120.0
SECONDS = 40.0
"""Longest wait for an alert: five minutes of rates and ten of patience are 7.5 s."""
OF_THE_MACHINE = {"TandemReplicaDown"}
"""A busy one does not answer four scrapes a second. That it is silent in health `tests/telemetry` tests by promtool."""
Ask = Callable[[int], dict[str, Any]]


def healthy(number: int) -> dict[str, Any]:
    return {"conversation": f"What is {number}? {sim(tokens=4)}", "tier": ("r1", "pro", "")[number % 3]}


def out_of_memory(number: int) -> dict[str, Any]:
    prompt = f"What is {number}? {sim(tokens=4)} {sim('pro', fault='oom')}"
    return {"conversation": prompt, "tier": ("r1", "pro")[number % 2]}


def hanging(number: int) -> dict[str, Any]:
    return {"conversation": f"What is {number}? {sim(fault='hang')}", "deadline_seconds": 0.6}


@dataclass
class Watched:
    """A Tandem, its policy, and a Prometheus in a hurry that watches it."""

    system: Tandem
    policy: Path
    prometheus: Prometheus

    @asynccontextmanager
    async def asked(self, ask: Ask) -> AsyncIterator[None]:
        """Let four clients ask while the context is open."""

        async def one(client: Client) -> None:
            number = 0
            while True:
                number += 1
                with contextlib.suppress(TandemError):
                    await client.ask(no_cache=True, **{"deadline_seconds": 3, **ask(number)})
                await asyncio.sleep(0.05)

        async with Client(self.system.address) as client:
            clients = [asyncio.create_task(one(client)) for _ in range(4)]
            try:
                yield
            finally:
                for each in clients:
                    each.cancel()
                await asyncio.gather(*clients, return_exceptions=True)

    async def until(self, *names: str) -> None:
        """Wait until these alerts fire, whatever else does."""
        end = time.monotonic() + SECONDS
        seen: set[str] = set()
        while not set(names) <= seen:
            assert time.monotonic() < end, f"{set(names) - seen} did not fire; there were {seen}"
            seen |= await self.prometheus.firing()
            await asyncio.sleep(0.2)

    async def until_known(self) -> None:
        """Wait until Prometheus has seen the Tandem, and nothing fires."""
        end = time.monotonic() + SECONDS
        while not await self.prometheus.query("tandem_build_info") or await self.prometheus.firing():
            assert time.monotonic() < end, "Prometheus sees nothing"
            await asyncio.sleep(0.2)

    async def until_over(self, name: str) -> None:
        """Wait until an alert fires no more."""
        end = time.monotonic() + SECONDS
        while name in await self.prometheus.firing():
            assert time.monotonic() < end, f"{name} goes on"
            await asyncio.sleep(0.2)


@pytest_asyncio.fixture(loop_scope="session")
async def watched(triton: TritonProcess, tmp_path: Path) -> AsyncIterator[Watched]:
    """A Tandem with the breakers of operation: the simulator's policy opens them for a moment only.

    Nor is it as soon out of patience, or else a busy machine would be a model that hangs.
    """
    policy = tmp_path / "policy.yaml"
    text = POLICY.read_text()
    for brief, usual in (
        ("pause_ms: 1\n  longest_pause_ms: 1\n", "pause_ms: 500\n  longest_pause_ms: 2000\n"),
        ("first_token_ms: 1000\n  gap_ms: 1000\n", "first_token_ms: 10000\n  gap_ms: 10000\n"),
    ):
        assert brief in text
        text = text.replace(brief, usual)
    policy.write_text(text)
    options = ("--metrics", "127.0.0.1:0", "--log-format", "json", "--policy", str(policy))
    async with (
        simulated_tandem(triton, "together", tmp_path / "tandem.log", *options) as system,
        prometheus({"tandem": [metrics_of(system)]}, tmp_path, times=TIMES) as running,
    ):
        # Before its first look Prometheus says, rightly, that nothing is measured.
        watched = Watched(system, policy, running)
        await watched.until_known()
        yield watched


async def test_nothing_fires_while_all_is_well(watched: Watched) -> None:
    async with watched.asked(healthy):
        end = time.monotonic() + 12.0
        while time.monotonic() < end:
            assert await watched.prometheus.firing() <= OF_THE_MACHINE
            await asyncio.sleep(0.5)


async def test_a_tier_that_runs_out_of_memory(watched: Watched) -> None:
    async with watched.asked(out_of_memory):
        await watched.until(
            "TandemOutOfMemory", "TandemBreakerOpen", "TandemTierAway", "TandemAnswersDegraded"
        )
    async with watched.asked(healthy):
        await watched.until_over("TandemTierAway")


async def test_no_tier_answers_in_time(watched: Watched) -> None:
    async with watched.asked(hanging):
        await watched.until("TandemDeadlineBudgetBurnsFast")


async def test_a_policy_that_is_wrong(watched: Watched) -> None:
    right = watched.policy.read_text()
    watched.policy.write_text(right.replace("strategy: route", "strategy: rout"))
    async with watched.asked(healthy):
        await watched.until("TandemDocumentRefused")
        watched.policy.write_text(right)
        await watched.until_over("TandemDocumentRefused")


async def test_a_ledger_whose_database_is_locked(watched: Watched) -> None:
    async with watched.asked(healthy):
        with closing(
            sqlite3.connect(watched.system.log_file.with_name("ledger.sqlite"), isolation_level=None)
        ) as ledger:
            ledger.execute("BEGIN EXCLUSIVE")
            await watched.until("TandemLedgerLags")
            ledger.execute("ROLLBACK")
        await watched.until_over("TandemLedgerLags")
