"""Would catch a panel or a recorded rule that shows nothing of a system which does everything that it is about."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tandem.client import Client
from tandem.embedded.triton import TritonProcess
from tandem.errors import TandemError
from tandem.v1 import types_pb2
from tests.integration.asking import sim
from tests.prometheus import OBSERVABILITY, Prometheus, groups, needs_prometheus, prometheus
from tests.system import POLICY, Tandem, metrics_of, simulated_tandem

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240), needs_prometheus]

# Everything that the dashboards are about: a rule, a target in money, and models that bear few attempts at a time.
CHANGES = """
rules:
  - name: chinese
    when: {languages: [zh]}
    tier: r1
"""
TARGET = "  undecided: r1\n  target: {usd_per_1k: 0.05}\n"
GPU = """\
nv_gpu_utilization{gpu_uuid="GPU-0"} 0.83
nv_gpu_memory_total_bytes{gpu_uuid="GPU-0"} 150754820096
nv_gpu_memory_used_bytes{gpu_uuid="GPU-0"} 141733920768
nv_gpu_power_usage{gpu_uuid="GPU-0"} 512.3
"""
"""What Triton tells on a machine with a card."""
RECORDED = [rule["record"] for group in groups() for rule in group["rules"] if "record" in rule]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(
    triton: TritonProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Tandem, Prometheus]]:
    """A Tandem in one process, and a Prometheus that watches it and its Triton."""
    folder = tmp_path_factory.mktemp("watched")
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.read_text().replace("  undecided: r1\n", TARGET) + CHANGES)
    options = ("--metrics", "127.0.0.1:0", "--log-format", "json", "--policy", str(policy))
    log = folder / "tandem.log"
    async with simulated_tandem(triton, "together", log, *options) as system, serving(GPU) as gpu:
        jobs = {
            "tandem": [metrics_of(system)],
            "triton": [triton.metrics_url.removeprefix("http://").removesuffix("/metrics")],
            "gpu": [gpu],
        }
        async with prometheus(jobs, folder) as running:
            yield system, running


@contextlib.asynccontextmanager
async def serving(text: str) -> AsyncIterator[str]:
    """Serve a text over HTTP while the context is open; give the address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n" + text.encode()
            )
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def load(address: str) -> None:
    """Ask for everything once: all strategies, faults, seams, the cache, budgets, clients that leave."""
    async with Client(address) as client:
        faults = [sim("pro", fault=fault) for fault in ("oom", "garbage", "hang")]
        questions: list[dict[str, Any]] = [
            {"conversation": f"What is {n}? {sim(tokens=4)}", "tier": ("r1", "pro", "")[n % 3]}
            for n in range(12)
        ]
        questions += [{"conversation": f"Fault. {fault}", "tier": "pro"} for fault in faults]
        questions += [
            {
                "conversation": f"Both. {fault} {sim('r1', fault='oom')} {sim('r1-int8', fault='oom')}",
                "tier": "pro",
            }
            for fault in faults[:1]
        ]
        questions += [
            {"conversation": f"A vote {n}. {sim(text='B')}", "strategy": types_pb2.STRATEGY_ENSEMBLE}
            for n in range(3)
        ]
        questions += [
            {"conversation": f"A draft {n}. {sim(tokens=4)}", "strategy": types_pb2.STRATEGY_CASCADE}
            for n in range(3)
        ]
        questions += [{"conversation": f"量子力学是什么？ {sim(tokens=4)}"}]
        await asyncio.gather(*(ask(client, **question, no_cache=True) for question in questions))
        for _ in range(2):
            await ask(client, f"Again? {sim(tokens=4)}", sampling=types_pb2.Sampling(temperature=0.0))
        await taken_over(client)
        await leave(client)
    for tenant in ("tiny-requests", "tiny-cheap"):
        async with Client(address, tenant=tenant) as client:
            for n in range(4):
                await ask(client, f"Mine {n}. {sim(tokens=12)}", no_cache=True)


async def ask(client: Client, conversation: str, **options: Any) -> None:
    with contextlib.suppress(TandemError):
        await client.ask(conversation, deadline_seconds=4, **options)


async def taken_over(client: Client) -> None:
    """Read a stream whose first model runs out of memory in the midst of it."""
    prompt = f"Go on. {sim(text='one two three four', chunk_chars=2)} {sim('pro', fault='oom', at=4)}"
    async for _ in client.stream(prompt, tier="pro", no_cache=True, deadline_seconds=4):
        pass


async def leave(client: Client) -> None:
    """Read the beginning of a stream and go away."""
    stream = client.stream(f"Too long. {sim(tokens=200, tpot_ms=20)}", no_cache=True, deadline_seconds=10)
    async with contextlib.aclosing(aiter(stream)) as events:
        async for event in events:
            if event.HasField("text"):
                break


async def crowd(address: str) -> None:
    """Ask Pro for more than it bears in the time that is granted, so that some get no place."""
    async with Client(address) as client:
        prompt = sim("pro", ttft_ms=400, tokens=2)
        await asyncio.gather(
            *(
                ask(client, f"{n} {prompt} {sim('r1', tokens=2)}", tier="pro", no_cache=True)
                for n in range(120)
            )
        )


def panels() -> Iterator[Any]:
    """Yield every panel's every query."""
    for file in sorted((OBSERVABILITY / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield pytest.param(target["expr"], id=f"{file.stem}: {panel['title']}, {target['refId']}")


async def shown(running: Prometheus, expression: str, seconds: float) -> bool:
    """Return whether an expression has a value within the time."""
    end = time.monotonic() + seconds
    while not await running.query(expression):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.5)
    return True


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def loaded(watched: tuple[Tandem, Prometheus]) -> Prometheus:
    """A Prometheus that has seen everything, twice: a rate takes two values."""
    system, running = watched
    for _ in range(2):
        await load(system.address)
        await crowd(system.address)
        await asyncio.sleep(2.0)
    return running


@pytest.mark.parametrize("query", list(panels()))
async def test_every_query_of_every_panel_returns_data(loaded: Prometheus, query: str) -> None:
    expression = query.replace("$namespace", ".*").replace("$__rate_interval", "5m")
    assert await shown(loaded, expression, 10.0), f"nothing for {expression}"


@pytest.mark.parametrize("record", RECORDED)
async def test_every_recorded_rule_has_a_value(loaded: Prometheus, record: str) -> None:
    assert await shown(loaded, record, 10.0)
