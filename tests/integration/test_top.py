"""Would catch a view that is not what the ledger says, or that leaves a terminal in disorder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tandem.client import Client
from tandem.embedded.triton import TritonProcess
from tandem.errors import TandemError
from tandem.ledger.queries import Which, newest, requests_named, total
from tandem.ledger.schema import reading
from tests.integration.asking import sim
from tests.system import TANDEM, Tandem, ledger_beside, metrics_of, simulated_tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTIONS = 40
FAULTS = ("", "oom", "garbage", "hang")


@pytest_asyncio.fixture(loop_scope="session")
async def measured(mode: str, triton: TritonProcess, tmp_path: Path) -> AsyncIterator[Tandem]:
    """A Tandem that Prometheus can read."""
    options = ("--metrics", "127.0.0.1:0", "--log-format", "json")
    async with simulated_tandem(triton, mode, tmp_path / "tandem.log", *options) as running:
        yield running


async def load(client: Client) -> None:
    """Ask questions, some of which fail at Pro, some at every tier."""

    async def ask(number: int) -> None:
        fault = FAULTS[number % len(FAULTS)]
        prompt = f"Question {number}. {sim(tokens=5)} {sim('pro', fault=fault) if fault else ''}"
        tier = "pro" if number % 2 else ""
        try:
            await client.ask(prompt, tier=tier, no_cache=number % 3 == 0, deadline_seconds=4)
        except TandemError:
            return

    await asyncio.gather(*(ask(number) for number in range(QUESTIONS)))


async def run(*arguments: str) -> Any:
    process = await asyncio.create_subprocess_exec(TANDEM, "top", *arguments, stdout=-1)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


async def booked(system: Tandem) -> dict[str, Any]:
    """Return what the ledger says when it has everything."""
    end = time.monotonic() + 20.0
    while True:
        with reading(ledger_beside(system.log_file)) as connection:
            sums = total(connection, Which())
            requests = [
                requests_named(connection, each["request_id"])[0]
                for each in newest(connection, Which(), 2 * QUESTIONS)
            ]
        if sums.requests >= QUESTIONS:
            break
        assert time.monotonic() < end, sums
        await asyncio.sleep(0.2)
    outcomes: dict[str, int] = {}
    for request in requests:
        for attempt in request["attempts"]:
            outcomes[attempt["outcome"]] = outcomes.get(attempt["outcome"], 0) + 1
    return {
        "count": sums.requests,
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "cost_nano_usd": sums.cost_nano_usd,
        "attempts_by_outcome": outcomes,
    }


async def test_the_figures_are_those_of_the_ledger(measured: Tandem) -> None:
    async with Client(measured.address) as client:
        await load(client)
    expected = await booked(measured)

    found = await run("--metrics", metrics_of(measured), "--once", "--json")

    assert {name: found["requests"][name] for name in expected} == expected
    assert found["requests"]["by_outcome"]["degraded"] > 0
    assert set(expected["attempts_by_outcome"]) >= {"answered", "out_of_memory", "timeout"}
    assert {f"{each['tier']}/{each['variant']}" for each in found["models"]} == {
        "r1/fp16",
        "r1/int8",
        "pro/fp16",
    }
    assert (found["ledger_dropped"], len(found["policies"])) == (0, 1)


async def test_a_terminal_shows_it_until_ctrl_c(measured: Tandem) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    known = ["--metrics", metrics_of(measured), "--metrics", "127.0.0.1:1", "--interval", "0.3"]
    process = await asyncio.create_subprocess_exec(
        # Where the tests run in the background, SIGINT is ignored, which a child inherits.
        *("env", "--default-signal=INT", str(TANDEM), "top", *known),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**{name: value for name, value in os.environ.items() if name != "COLUMNS"}, "TERM": "xterm"},
    )
    try:
        with closing(os.fdopen(master, "rb", buffering=0)) as screen:
            shown = await until(screen, lambda text: "rates since the time before" in text)
            assert "1 of 2 orchestrators" in shown
            assert "http://127.0.0.1:1/metrics is away" in shown
            async with Client(measured.address) as client:
                await asyncio.gather(*(client.ask(f"{n} {sim(tokens=3)}", no_cache=True) for n in range(20)))
            shown = await until(screen, lambda text: "20 answered" in text)
            assert re.search(r"(?!0\.0/)\d+\.\d/s +20 since the start: 20 answered", shown)
            process.send_signal(signal.SIGINT)
            rest = await until(screen, lambda text: "\x1b[?1049l" in text)
            assert "\x1b[?25h" in rest, "the cursor is back"
            assert "Traceback" not in rest
            assert await asyncio.wait_for(process.wait(), 10.0) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        os.close(slave)


async def until(screen: Any, holds: Any) -> str:
    """Read what the terminal shows until it is there; return it."""
    text, end = "", time.monotonic() + 30.0
    while not holds(text):
        assert time.monotonic() < end, text
        text += (await asyncio.wait_for(asyncio.to_thread(screen.read, 65536), 20.0)).decode(
            "utf-8", "replace"
        )
    return text
