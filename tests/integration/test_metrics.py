"""Would catch a number at `/metrics` that is not what the ledger of the same system says."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import urllib.request
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tandem.client import Client, user
from tandem.embedded.triton import TritonProcess
from tandem.errors import TandemError
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.told import Told, read
from tests.integration.asking import sim
from tests.system import Tandem, simulated_tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

COUNTED = {"answered": "answered", "degraded": "degraded", "late": "degraded", "cancelled": "cancelled"}
"""How the ledger calls the outcomes of requests; all others are errors there."""
SETTLE_SECONDS = 30.0


@pytest_asyncio.fixture(loop_scope="session")
async def measured(mode: str, triton: TritonProcess, tmp_path: Path) -> AsyncIterator[Tandem]:
    async with simulated_tandem(triton, mode, tmp_path / "tandem.log", "--metrics", "127.0.0.1:0") as running:
        yield running


async def scrape(system: Tandem, accept: str = "text/plain") -> str:
    """Return what the system's first endpoint of metrics tells."""
    (port, *_) = re.findall(r"\bmetrics\b.*\bport=(\d+)", system.log)
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})

    def get() -> str:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
            return str(answer.read().decode())

    return await asyncio.to_thread(get)


def booked(system: Tandem, query: str) -> list[tuple[Any, ...]]:
    """Return what the system's ledger says."""
    with sqlite3.connect(system.log_file.with_name("ledger.sqlite")) as ledger:
        return ledger.execute(query).fetchall()


async def tried(asking: Coroutine[Any, Any, object]) -> None:
    """Ask, whatever comes of it."""
    with suppress(TandemError):
        await asking


async def streamed(client: Client, prompt: str, leave_after: int = 10**9, **options: Any) -> None:
    """Read a stream, or the beginning of one."""
    events = 0
    async for _ in client.stream(prompt, **options):
        events += 1
        if events == leave_after:
            break


async def batched(client: Client, prompts: list[str]) -> None:
    """Ask in one call."""
    requests = [orchestrator_pb2.GenerateRequest(messages=[user(prompt)]) for prompt in prompts]
    async for _ in client.batch(requests):
        pass


async def load(system: Tandem) -> None:
    """Ask everything that may end in another way."""
    late = "[[sim:pro ttft_ms=9000]]"
    asked: list[Coroutine[Any, Any, object]] = []
    async with Client(system.address) as client, Client(system.address, "shop") as shop:
        asked += [client.ask(sim(tokens=5 + n), no_cache=True) for n in range(6)]
        asked += [shop.ask(sim(tokens=7)) for _ in range(3)]  # one answers for all
        asked += [streamed(client, sim(tokens=30), tier="r1", no_cache=True) for _ in range(3)]
        asked += [
            streamed(client, sim(tokens=400, tpot_ms=5), 3, tier="pro", no_cache=True) for _ in range(2)
        ]
        asked += [
            streamed(shop, f"{sim(tokens=50)} {sim('pro', fault='oom', at=9)}", tier="pro", no_cache=True)
        ]
        asked += [client.ask(sim("pro", fault="oom"), tier="pro", no_cache=True)]
        asked += [client.ask(sim(fault="error"), tier="r1", no_cache=True)]
        asked += [client.ask(f"{late} {sim(tokens=9)}", tier="pro", deadline_seconds=2.0, no_cache=True)]
        asked += [client.ask(sim(fault="hang"), tier="r1", deadline_seconds=1.0, no_cache=True)]
        asked += [client.ask("?", tier="nowhere"), client.ask("?", deadline_seconds=0.001)]
        asked += [client.ask(sim(tokens=4), strategy=types_pb2.STRATEGY_ENSEMBLE, no_cache=True)]
        asked += [client.ask(sim(tokens=4), strategy=types_pb2.STRATEGY_CASCADE, no_cache=True)]
        asked += [batched(client, [sim(tokens=n + 3) for n in range(4)])]
        await asyncio.gather(*map(tried, asked))
        await tried(shop.ask(sim(tokens=7)))  # from the cache


async def quiet(system: Tandem) -> Told:
    """Return what is told when every attempt is settled and every entry written."""
    end = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while True:
        found = read(await scrape(system))
        requests = found.total("tandem_requests_total")
        written = found.total("tandem_ledger_written_total")
        settled = found.total("tandem_settled_attempts_total")
        if requests == written and settled == found.total("tandem_attempts_total"):
            return found
        assert asyncio.get_running_loop().time() < end, "the books are not closed in time"
        await asyncio.sleep(0.2)


async def test_the_sums_are_those_of_the_ledger(measured: Tandem) -> None:
    await load(measured)
    found = await quiet(measured)

    requests: dict[tuple[str, ...], float] = {}
    seen = [(labels, number) for labels, number in found.samples["tandem_requests_total"] if number]
    for labels, number in seen:
        key = (
            labels["method"],
            labels["tier"] if labels["outcome"] in {"answered", "degraded", "late"} else "",
            labels["strategy"],
            COUNTED.get(labels["outcome"], "error"),
        )
        requests[key] = requests.get(key, 0) + number
    assert requests == {
        (method, tier or "", strategy or "none", outcome): number
        for method, tier, strategy, outcome, number in booked(
            measured,
            "SELECT method, CASE WHEN reason = '' THEN tier END t, strategy, outcome, COUNT(*) FROM requests "
            "GROUP BY method, t, strategy, outcome",
        )
    }
    assert {"answered", "degraded", "cancelled", "failed"} <= {labels["outcome"] for labels, _ in seen}

    def of_attempts(name: str, *labels: str) -> dict[tuple[str, ...], float]:
        return {tuple(each[label] for label in labels): number for each, number in found.samples[name]}

    by_outcome = of_attempts("tandem_attempts_total", "tier", "variant", "purpose", "outcome")
    assert by_outcome == {
        tuple(row[:4]): row[4]
        for row in booked(
            measured, "SELECT tier, variant, purpose, outcome, COUNT(*) FROM attempts GROUP BY 1, 2, 3, 4"
        )
    }
    tokens = of_attempts("tandem_tokens_total", "tier", "variant", "purpose", "direction")
    cost = of_attempts("tandem_cost_usd_total", "tier", "variant", "purpose")
    for tier, variant, purpose, taken, made, nano_usd in booked(
        measured,
        "SELECT tier, variant, purpose, SUM(input_tokens), SUM(output_tokens), SUM(cost_nano_usd) FROM attempts "
        "GROUP BY 1, 2, 3",
    ):
        assert tokens[tier, variant, purpose, "input"] == taken
        assert tokens[tier, variant, purpose, "output"] == made
        assert round(cost[tier, variant, purpose] * 10**9) == nano_usd
    assert len(cost) == len({key[:3] for key in by_outcome})

    tenants = (
        "SELECT tenant, SUM(input_tokens), SUM(output_tokens), SUM(cost_nano_usd) FROM requests GROUP BY 1"
    )
    for tenant, taken, made, nano_usd in booked(measured, tenants):
        assert found.total("tandem_tenant_tokens_total", tenant=tenant, direction="input") == taken
        assert found.total("tandem_tenant_tokens_total", tenant=tenant, direction="output") == made
        assert round(found.total("tandem_tenant_cost_usd_total", tenant=tenant) * 10**9) == nano_usd

    for name, query in (
        ("tandem_degradations_total", "SELECT COUNT(*) FROM degradations"),
        ("tandem_seams_total", "SELECT COUNT(*) FROM attempts WHERE seam_byte_offset IS NOT NULL"),
        ("tandem_request_errors_total", "SELECT COUNT(*) FROM requests WHERE reason <> ''"),
        ("tandem_time_to_first_token_seconds_count", "SELECT COUNT(ttft_ms) FROM requests"),
        ("tandem_request_duration_seconds_count", "SELECT COUNT(*) FROM requests"),
        ("gen_ai_client_operation_duration_seconds_count", "SELECT COUNT(*) FROM attempts"),
        ("gen_ai_client_token_usage_sum", "SELECT SUM(input_tokens + output_tokens) FROM attempts"),
    ):
        ((expected,),) = booked(measured, query)
        assert found.total(name) == expected > 0, name
    ((milliseconds,),) = booked(measured, "SELECT SUM(duration_ms) FROM requests")
    assert found.total("tandem_request_duration_seconds_sum") == pytest.approx(milliseconds / 1000)


async def test_nothing_is_left_under_way_and_nothing_that_was_said_is_told(measured: Tandem) -> None:
    secret = "grandmother's recipe"  # noqa: S105 - not to be told all the same
    async with Client(measured.address, "shop") as client:
        await client.ask(f"{sim(text=secret)} {secret}")
    text = await scrape(measured, "application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    assert "grandmother" not in text
    found = await quiet(measured)
    assert found.total("tandem_in_flight") == found.total("tandem_queued") == 0
    assert found.total("grpc_server_handled_total", grpc_method="Generate", grpc_code="OK") == 1
    assert found.labels("tandem_breaker_state", "tier") == {"r1", "pro"}
