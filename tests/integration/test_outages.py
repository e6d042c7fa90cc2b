"""Would catch an answer that waits for, or falls with, a part that it can do without: classifier, fusion, one tier."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tandem.client import Client
from tandem.embedded.system import wait_healthy
from tandem.embedded.triton import TritonProcess
from tandem.v1 import types_pb2
from tests.integration.asking import PRO, R1, default_text, sim
from tests.integration.conftest import Start
from tests.system import Tandem, simulated_tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLASSIFIER = types_pb2.DEGRADATION_REASON_CLASSIFIER
FUSION = types_pb2.DEGRADATION_REASON_FUSION
TIMEOUT = types_pb2.DEGRADATION_REASON_TIMEOUT
UNAVAILABLE = types_pb2.DEGRADATION_REASON_UNAVAILABLE


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def apart(triton: TritonProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tandem]:
    """A Tandem of separate services, some of which die here and come back."""
    async with simulated_tandem(
        triton, "separate", tmp_path_factory.mktemp("apart") / "tandem.log"
    ) as running:
        yield running


async def until_back(client: Client, prompt: str, **options: Any) -> types_pb2.Answer:
    """Ask until an answer has no degradation."""
    end = time.monotonic() + 20
    answer = types_pb2.Answer()
    while time.monotonic() < end:
        answer = await client.ask(prompt, no_cache=True, deadline_seconds=5, **options)
        if not answer.degradations:
            return answer
        await asyncio.sleep(0.2)
    raise AssertionError(f"still degraded: {answer.degradations}")


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_classifier_that_is_dead_or_silent_costs_no_answer(
    apart: Tandem, blow: signal.Signals
) -> None:
    async with Client(apart.address) as client:
        await until_back(client, sim(tokens=2))
        classifier = apart.service("classifier")

        classifier.send_signal(blow)
        started = time.monotonic()
        answers = [await client.ask(sim(tokens=4), no_cache=True, deadline_seconds=5) for _ in range(2)]
        seconds = time.monotonic() - started
        if blow == signal.SIGSTOP:
            classifier.send_signal(signal.SIGCONT)

        for answer in answers:
            assert answer.text == default_text(4)
            assert answer.answered_by == R1
            assert [each.reason for each in answer.degradations] == [CLASSIFIER]
            assert not answer.HasField("signals")
        assert seconds < 2 * (1.0 + 3.0)  # at most the classifier's allowance and the answer, each
        back = await until_back(client, sim(tokens=2))
        assert back.HasField("signals")


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_fusion_that_is_dead_or_silent_gives_the_surest_answer(
    apart: Tandem, blow: signal.Signals
) -> None:
    prompt = f"{sim(text='B')} {sim('pro', text='C', logprob=-0.01)}"
    async with Client(apart.address) as client:
        await until_back(client, prompt, strategy=types_pb2.STRATEGY_ENSEMBLE)
        fusion = apart.service("fusion")

        fusion.send_signal(blow)
        answer = await client.ask(
            prompt, strategy=types_pb2.STRATEGY_ENSEMBLE, no_cache=True, deadline_seconds=8
        )
        if blow == signal.SIGSTOP:
            fusion.send_signal(signal.SIGCONT)

        assert (answer.text, answer.answered_by) == ("C", PRO)
        assert [each.reason for each in answer.degradations] == [FUSION]
        assert not answer.HasField("fusion")
        back = await until_back(client, prompt, strategy=types_pb2.STRATEGY_ENSEMBLE)
        assert len(back.fusion.ballots) == 3


async def test_a_tier_whose_service_is_dead_is_replaced_by_the_other(apart: Tandem) -> None:
    async with Client(apart.address) as client:
        await until_back(client, sim(tokens=2), tier="pro")

        apart.service("inference", "pro").kill()
        answer = await client.ask(sim(tokens=4), tier="pro", no_cache=True, deadline_seconds=5)

        assert (answer.text, answer.answered_by) == (default_text(4), R1)
        assert [each.reason for each in answer.degradations] == [UNAVAILABLE]
        assert (await until_back(client, sim(tokens=2), tier="pro")).answered_by == PRO


async def test_an_orchestrator_that_is_killed_comes_back(apart: Tandem) -> None:
    apart.service("orchestrator").kill()

    assert await wait_healthy(apart.address, ("", "r1", "pro"), 20)
    async with Client(apart.address) as client:
        assert (await client.ask(sim(tokens=3), tier="r1", deadline_seconds=5)).text == default_text(3)


@pytest.mark.timeout(90)
async def test_no_service_outlives_a_tandem_that_is_killed(
    triton: TritonProcess, start: Start, mode: str
) -> None:
    async with start() as system:
        children = system.descendants()
        assert len(children) == (5 if mode == "separate" else 0)

        system.process.kill()

        await system.ended(5)
        _, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=10)
        assert not alive


@pytest.mark.timeout(90)
async def test_a_model_whose_process_dies_is_replaced_and_comes_back(start: Start) -> None:
    async with start() as system, Client(system.address) as client:
        crashed = await client.ask(
            f"{sim(tokens=5)} {sim('pro', fault='crash')}", tier="pro", no_cache=True, deadline_seconds=4
        )
        back = await until_back(client, sim(tokens=5), tier="pro")

    # What was under way in the process gets an error from Triton, or nothing at all.
    assert (crashed.text, crashed.answered_by) == (default_text(5), R1)
    assert [each.reason in (UNAVAILABLE, TIMEOUT) for each in crashed.degradations] == [True]
    assert (back.text, back.answered_by) == (default_text(5), PRO)
