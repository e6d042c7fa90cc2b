"""Would catch an engine that works on for a client that is gone, and a server that fills up for one that waits."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import grpc
import grpc.aio
import pytest

from tandem.client import Client
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.engine_books import PUBLISHED_SECONDS, EngineBooks
from tests.integration.asking import collected, default_text, question, sim
from tests.integration.conftest import Stub
from tests.system import Tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDLESS = sim(tokens=20_000, tpot_ms=2)
MANY = types_pb2.Sampling(max_tokens=20_000)
ENGINE_STOPS_SECONDS = 0.250
BUSY_SECONDS = 1.0
"""How long the processes between a client and the engine may wait for a core, on a machine that has other work, too."""
READING_CLIENT = Path(__file__).with_name("reading_client.py")


async def until_tokens_flow(books: EngineBooks, before: int, count: int = 50) -> None:
    """Wait until the engine has made some tokens since `before`."""
    while await books.total() < before + count:
        await asyncio.sleep(0.02)


async def check_engine_stopped(books: EngineBooks, cancelled: float) -> None:
    """Check that the tokens stopped within the budget, as far as the engine's publication tells."""
    assert await books.stood_still_after(cancelled) <= ENGINE_STOPS_SECONDS + PUBLISHED_SECONDS + BUSY_SECONDS


@pytest.mark.parametrize("tier", ["r1", "pro"])
async def test_leaving_a_stream_stops_the_engine(client: Client, books: EngineBooks, tier: str) -> None:
    stream = client.stream(ENDLESS, tier=tier, sampling=MANY, no_cache=True, deadline_seconds=30)
    events = aiter(stream)
    shown = ""
    while len(shown) < 200:
        shown += (await anext(events)).text.delta

    await events.aclose()
    cancelled = time.monotonic()

    await check_engine_stopped(books, cancelled)
    assert default_text(20_000).startswith(shown)


async def test_cancelling_a_unary_call_stops_the_engine(stub: Stub, books: EngineBooks) -> None:
    before = await books.total()
    call = stub.Generate(question(ENDLESS, tier="r1", sampling=MANY), timeout=30)
    await until_tokens_flow(books, before)

    assert call.cancel()
    cancelled = time.monotonic()

    with pytest.raises(asyncio.CancelledError):
        await call
    await check_engine_stopped(books, cancelled)


async def test_cancelling_an_ensemble_stops_every_voice(stub: Stub, books: EngineBooks) -> None:
    before = await books.read()
    call = stub.Generate(question(ENDLESS, strategy=types_pb2.STRATEGY_ENSEMBLE, sampling=MANY), timeout=30)
    for model in before:
        while (await books.read())[model] < before[model] + 50:
            await asyncio.sleep(0.02)

    call.cancel()
    cancelled = time.monotonic()

    await check_engine_stopped(books, cancelled)


async def test_cancelling_a_batch_stops_all_its_items(client: Client, books: EngineBooks) -> None:
    requests = [
        question(sim(tokens=1), tier="r1"),
        *(question(ENDLESS, tier="r1", sampling=MANY) for _ in range(5)),
    ]
    results = client.batch(requests, deadline_seconds=30)
    before = await books.total()
    assert (await anext(results)).index == 0
    await until_tokens_flow(books, before)

    await results.aclose()
    cancelled = time.monotonic()

    await check_engine_stopped(books, cancelled)


async def test_a_client_that_is_killed_stops_the_engine(system: Tandem, books: EngineBooks) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(READING_CLIENT), system.address, ENDLESS, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"text\n"

    process.send_signal(signal.SIGKILL)
    killed = time.monotonic()

    await check_engine_stopped(books, killed)
    await process.wait()


async def test_the_deadline_stops_the_engine(stub: Stub, books: EngineBooks) -> None:
    started = time.monotonic()
    request = question(f"{ENDLESS} {sim('pro', fault='hang')}", tier="r1", sampling=MANY)

    answer = (await stub.Generate(request, timeout=1.0)).answer

    # Nobody else could answer, so what there is at the deadline is the answer.
    assert answer.finish_reason == types_pb2.FINISH_REASON_LENGTH
    assert [each.reason for each in answer.degradations] == [types_pb2.DEGRADATION_REASON_DEADLINE]
    await check_engine_stopped(books, started + 1.0)


async def test_a_client_that_never_reads_costs_little_and_ends_at_its_deadline(
    system: Tandem, stub: Stub, books: EngineBooks
) -> None:
    # 900 kB each, many times what flow control lets into the network, and not yet whole at the deadline.
    prompt = sim(text="x" * 900_000, chunk_chars=4_500, tpot_ms=15)
    request = orchestrator_pb2.StreamGenerateRequest(request=question(prompt, tier="r1", sampling=MANY))
    # What the questions themselves take is not what this is about.
    await asyncio.gather(
        *(stub.Explain(orchestrator_pb2.ExplainRequest(request=request.request)) for _ in range(12))
    )
    await asyncio.gather(*(collected(stub.StreamGenerate(request, timeout=8.0)) for _ in range(12)))
    before_mb = system.resident_mb()

    calls = [stub.StreamGenerate(request, timeout=2.0) for _ in range(12)]
    await asyncio.sleep(1.8)
    growth_mb = system.resident_mb() - before_mb
    await asyncio.sleep(0.2)
    expired = time.monotonic()

    assert growth_mb < 250
    assert [await call.code() for call in calls] == [grpc.StatusCode.DEADLINE_EXCEEDED] * 12
    await check_engine_stopped(books, expired)


async def test_others_are_served_while_a_client_does_not_read(stub: Stub, client: Client) -> None:
    paused = [
        stub.StreamGenerate(
            orchestrator_pb2.StreamGenerateRequest(request=question(ENDLESS, tier="r1", sampling=MANY)),
            timeout=30,
        )
        for _ in range(8)
    ]

    answers = await asyncio.gather(
        *(client.ask(sim(tokens=9), tier="r1", no_cache=True, deadline_seconds=20) for _ in range(8))
    )

    assert [answer.text for answer in answers] == [default_text(9)] * 8
    for call in paused:
        call.cancel()
