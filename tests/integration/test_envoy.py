"""Would catch a front that lets strangers in, favours a replica, or loses what a replica's death need not cost.

A real Envoy with the shipped configuration stands before two real orchestrators; everybody speaks mTLS.
"""

from __future__ import annotations

import asyncio
import signal
import urllib.request
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tandem.client import Client
from tandem.embedded.triton import TritonProcess
from tandem.errors import BackendUnavailable, InternalError
from tandem.serving.clients import Callee, open_channel
from tandem.serving.tls import Tls
from tandem.v1 import orchestrator_pb2_grpc
from tests.fakes.certificates import Authority
from tests.integration.asking import default_text, question, sim
from tests.replicas import Fleet, fleet
from tests.system import TANDEM

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(150)]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(triton: TritonProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with fleet(triton.grpc_address, tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def own(triton: TritonProcess, tmp_path: Path) -> AsyncIterator[Fleet]:
    """One to be broken."""
    async with fleet(triton.grpc_address, tmp_path) as running:
        yield running


async def ask(client: Client, tokens: int = 3, **settings: object) -> str:
    answer = await client.ask(sim(tokens=tokens, **settings), tier="r1", no_cache=True, deadline_seconds=20)
    return answer.text


# --- who gets in, and how


async def test_the_command_line_gets_an_answer_through_it(front: Fleet) -> None:
    tls = front.tls
    options = [f"--target={front.target}", f"--ca={tls.ca}", f"--cert={tls.certificate}", f"--key={tls.key}"]
    process = await asyncio.create_subprocess_exec(
        TANDEM, "ask", *options, "--tier=r1", "--no-cache", sim(tokens=4), stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert out.decode().strip() == default_text(4)


async def test_strangers_are_refused(front: Fleet, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "strangers").issue("client", "client", ca=front.tls.ca)
    for tls in (stranger, Tls(front.tls.ca), None):
        async with Client(front.target, tls=tls) as client:
            with pytest.raises(BackendUnavailable):
                await ask(client)


async def test_an_orchestrator_lets_in_nobody_but_envoy(front: Fleet) -> None:
    """A client's certificate is of another authority: it cannot go around."""
    async with Client(f"127.0.0.1:{front.replicas[0].port}", tls=front.tls) as client:
        with pytest.raises(BackendUnavailable):
            await ask(client)


async def test_the_trace_of_a_client_arrives(front: Fleet) -> None:
    async with open_channel(front.target, front.tls, Callee.FRONT) as channel:
        stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)
        metadata = (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"),)
        await stub.Generate(question(sim(tokens=3), tier="r1"), timeout=20, metadata=metadata)
    async with asyncio.timeout(10):
        while not any(TRACE in replica.traces() for replica in front.replicas):
            await asyncio.sleep(0.1)


# --- balance


async def test_the_calls_of_one_connection_are_spread_evenly(front: Fleet) -> None:
    before = [replica.answered() for replica in front.replicas]
    async with Client(front.target, tls=front.tls) as client:
        for _ in range(5):
            await asyncio.gather(*(ask(client) for _ in range(20)))
    shares = [0, 0]
    async with asyncio.timeout(20):  # a line of the access log may be a moment later than its answer
        while sum(shares) < 100:
            shares = [each.answered() - was for each, was in zip(front.replicas, before, strict=True)]
            await asyncio.sleep(0.05)
    assert sum(shares) == 100
    assert min(shares) >= 35, shares


# --- the end of a replica


async def test_a_replica_that_is_killed_loses_no_answer(own: Fleet) -> None:
    async with Client(own.target, tls=own.tls) as client:
        over, answers, ends = asyncio.Event(), 0, [0, 0]

        async def asking() -> None:
            nonlocal answers
            while not over.is_set():
                assert await ask(client, 20, tpot_ms=10) == default_text(20)
                answers += 1

        async def streaming() -> None:
            """What was shown of a stream cannot be taken back: it may end early, and never wrongly."""
            while not over.is_set():
                shown = ""
                stream = client.stream(
                    sim(tokens=20, tpot_ms=10), tier="r1", no_cache=True, deadline_seconds=20
                )
                try:
                    async for event in stream:
                        shown += event.text.delta
                    assert shown == default_text(20)
                    ends[0] += 1
                except (BackendUnavailable, InternalError):  # Envoy resets a stream that has begun
                    assert default_text(20).startswith(shown)
                    ends[1] += 1

        running = [asyncio.create_task(work()) for work in [asking] * 8 + [streaming] * 4]
        await asyncio.sleep(2.0)
        await own.replicas[0].process.kill()
        await asyncio.sleep(4.0)
        over.set()
        await asyncio.gather(*running)
        assert answers > 50
        assert ends[0] > 10
        assert ends[1] <= 4, "only streams that ran on the replica"
        assert [await ask(client) for _ in range(10)] == [default_text(3)] * 10


async def test_a_replica_that_drains_loses_nothing(own: Fleet) -> None:
    async with Client(own.target, tls=own.tls) as client:
        over = asyncio.Event()

        async def asking() -> int:
            answers = 0
            while not over.is_set():
                assert await ask(client, 10, tpot_ms=10) == default_text(10)
                answers += 1
            return answers

        async def streaming() -> int:
            answers = 0
            while not over.is_set():
                stream = client.stream(
                    sim(tokens=10, tpot_ms=10), tier="r1", no_cache=True, deadline_seconds=20
                )
                assert "".join([event.text.delta async for event in stream]) == default_text(10)
                answers += 1
            return answers

        running = [asyncio.create_task(work()) for work in [asking] * 4 + [streaming] * 4]
        await asyncio.sleep(1.0)
        own.replicas[0].process.send(signal.SIGTERM)
        await asyncio.sleep(4.0)
        over.set()
        assert min(await asyncio.gather(*running)) > 5
    async with asyncio.timeout(30):
        while own.replicas[0].process.running:
            await asyncio.sleep(0.1)


async def test_envoy_drains_and_what_runs_is_finished(own: Fleet) -> None:
    async with Client(own.target, tls=own.tls) as client:
        slow = asyncio.create_task(ask(client, 100, tpot_ms=20))
        await asyncio.sleep(0.5)
        request = urllib.request.Request(f"http://{own.admin}/drain_listeners?graceful", method="POST")
        await asyncio.to_thread(urllib.request.urlopen, request)
        assert await slow == default_text(100)
