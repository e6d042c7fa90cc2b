"""How many instructions a request takes in the embedded process, outside of the kernel: by Valgrind's callgrind.

Unlike times, they are the same whatever else the machine does. What they leave out is what waiting for memory costs.
Needs `valgrind` (Debian: apt-get install valgrind); takes a minute, with `--telemetry` six.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import grpc.aio

from overhead_report import telemetry_table
from question import Question
from simulated_triton import simulated_triton
from telemetry_cost import RATIOS, environment, sink
from through_tandem import ThroughTandem

REQUESTS: Final = 200
WARM_UP: Final = 100
SETTLE_SECONDS: Final = 5.0
"""For what is written after the last answer, such as the ledger."""
EXPORT_SECONDS: Final = 20.0
"""Longest wait of a span for others, in place of 1: under callgrind a request takes far longer, and the batches are to
be as full as they are without it."""
IDLE_SECONDS: Final = 15.0
"""For what happens without requests, such as looking whether Triton is ready."""
ON: Final = "--instr=on"
OFF: Final = "--instr=off"
WRITE: Final = "--dump"
TRACED_REQUESTS: Final = 400
"""Enough for some batches."""
PROGRAM: Final = Path(__file__).with_name("system_process.py")


async def control(order: str, pid: int) -> None:
    """Begin or stop to count, or write what was counted so far and begin anew."""
    process = await asyncio.create_subprocess_exec(
        "callgrind_control", order, str(pid), stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise SystemExit("callgrind_control failed; install valgrind")


async def count(
    triton: str,
    requests: int,
    variables: Mapping[str, str] = {},
    settle: float = SETTLE_SECONDS,
    idle: float = 0.0,
) -> float:
    """Return the instructions of a request, one at a time; `variables` are added to the environment.

    With some seconds to be `idle`, what happens anyway is counted in them, and subtracted.
    """
    with tempfile.TemporaryDirectory() as folder:
        counted = Path(folder) / "callgrind"
        valgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--fair-sched=yes")
        process = await asyncio.create_subprocess_exec(
            *(*valgrind, f"--callgrind-out-file={counted}", sys.executable, str(PROGRAM), "embedded", triton),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **variables},
        )
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        address = (await process.stdout.readline()).decode().strip()
        async with grpc.aio.insecure_channel(address) as channel:
            ask = ThroughTandem(channel).asker(Question(stream=False, tokens=1))
            await asyncio.wait_for(channel.channel_ready(), 60.0)
            for _ in range(WARM_UP):
                await ask(lambda _: None)
            await control(ON, process.pid)
            begun = time.monotonic()
            for _ in range(requests):
                await ask(lambda _: None)
            await asyncio.sleep(settle)
            seconds = time.monotonic() - begun
            if idle:
                await control(WRITE, process.pid)
                await asyncio.sleep(idle)
            await control(OFF, process.pid)
        process.stdin.close()
        await process.wait()
        last = total(counted.read_text(errors="replace"))
        if not idle:
            return last / requests
        # Under callgrind a request takes so long that a tenth of what is counted would be timers.
        asked = total(counted.with_name(f"{counted.name}.1").read_text(errors="replace"))
        return (asked - last * seconds / idle) / requests


def total(written: str) -> int:
    """Return the instructions that a file of callgrind adds up to.

    Raises:
        ValueError: it is none.
    """
    found = re.findall(r"^totals: (\d+)", written, re.MULTILINE)
    if not found:
        raise ValueError("callgrind wrote no totals")
    return sum(map(int, found))


async def count_telemetry(triton: str, requests: int) -> dict[str, float]:
    """Return what the instructions of a request are without tracing and with it."""
    counted = {}
    async with sink() as (endpoint, taking):
        for name, ratio in RATIOS.items():
            print(f"tracing {name}", file=sys.stderr, flush=True)
            variables = {
                **environment(endpoint, ratio),
                "OTEL_BSP_SCHEDULE_DELAY": str(round(EXPORT_SECONDS * 1000)),
            }
            counted[name] = await count(
                triton, requests, variables, EXPORT_SECONDS + SETTLE_SECONDS, IDLE_SECONDS
            )
        if not taking.received:
            raise SystemExit("nothing was exported; give more --requests")
    return compared(counted)


def compared(counted: Mapping[str, float]) -> dict[str, float]:
    """Return the figures that have a name, rounded."""
    return {
        "instructions_ratio_full": round(counted["full"] / counted["off"], 4),
        "instructions_ratio_sampled": round(counted["sampled"] / counted["off"], 4),
        **{f"million_instructions_{name}": round(each / 1e6, 4) for name, each in counted.items()},
    }


async def run(options: argparse.Namespace) -> str:
    """Count, and return what belongs on standard output."""
    async with simulated_triton() as triton:
        if options.telemetry:
            named = await count_telemetry(triton, options.requests or TRACED_REQUESTS)
            return json.dumps({"telemetry": named}, indent=2) if options.json else telemetry_table(named)
        each = await count(triton, options.requests or REQUESTS) / 1e6
    if options.json:
        return json.dumps({"million_instructions": round(each, 4)}, indent=2)
    return f"{each:.3f} million instructions per request"


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--requests",
        type=int,
        help=f"that are counted (default {REQUESTS}, with --telemetry {TRACED_REQUESTS})",
    )
    parser.add_argument(
        "--telemetry",
        action="store_true",
        help="count what tracing costs: without it, with 1 %% and with all traces kept",
    )
    parser.add_argument("--json", action="store_true", help="print one object in place of text")
    print(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
