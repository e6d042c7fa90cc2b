"""How many instructions a request takes in the embedded process, outside of the kernel: by Valgrind's callgrind.

Unlike times, they are the same whatever else the machine does. What they leave out is what waiting for memory costs.
Needs `valgrind` (Debian: apt-get install valgrind); takes a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from pathlib import Path
from typing import Final

import grpc.aio

from question import Question
from simulated_triton import simulated_triton
from through_tandem import ThroughTandem

WARM_UP: Final = 100
SETTLE_SECONDS: Final = 5.0
"""For what is written after the last answer, such as the ledger."""
PROGRAM: Final = Path(__file__).with_name("system_process.py")


async def control(state: str, pid: int) -> None:
    """Begin or stop to count."""
    process = await asyncio.create_subprocess_exec(
        "callgrind_control", "-i", state, str(pid), stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise SystemExit("callgrind_control failed; install valgrind")


async def count(triton: str, requests: int, folder: Path) -> float:
    """Return the instructions of a request, one at a time."""
    counted = folder / "callgrind"
    valgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--fair-sched=yes")
    process = await asyncio.create_subprocess_exec(
        *(*valgrind, f"--callgrind-out-file={counted}", sys.executable, str(PROGRAM), "embedded", triton),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    address = (await process.stdout.readline()).decode().strip()
    async with grpc.aio.insecure_channel(address) as channel:
        ask = ThroughTandem(channel).asker(Question(stream=False, tokens=1))
        await asyncio.wait_for(channel.channel_ready(), 60.0)
        for _ in range(WARM_UP):
            await ask(lambda _: None)
        await control("on", process.pid)
        for _ in range(requests):
            await ask(lambda _: None)
        await asyncio.sleep(SETTLE_SECONDS)
        await control("off", process.pid)
    process.stdin.close()
    await process.wait()
    return total(counted.read_text(errors="replace")) / requests


def total(written: str) -> int:
    """Return the instructions that a file of callgrind adds up to.

    Raises:
        ValueError: it is none.
    """
    found = re.findall(r"^totals: (\d+)", written, re.MULTILINE)
    if not found:
        raise ValueError("callgrind wrote no totals")
    return sum(map(int, found))


async def run(requests: int) -> None:
    """Count and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with simulated_triton() as triton:
            each = await count(triton, requests, Path(folder))
    print(f"{each / 1e6:.3f} million instructions per request")


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=200, help="that are counted (default %(default)s)")
    asyncio.run(run(parser.parse_args().requests))


if __name__ == "__main__":
    main()
