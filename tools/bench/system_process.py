"""Tandem in a process of its own, so that its CPU time and memory are only its own.

The program prints the orchestrator's address and serves until its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tandem.catalogue import load_catalogue
from tandem.deployment import deploy_folder
from tandem.embedded.separate import separate
from tandem.embedded.system import System, wait_healthy
from tandem.embedded.together import together
from tandem.telemetry.logs import configure

Mode = Literal["embedded", "separate"]

START_SECONDS: Final = 60.0
PROFILE_LINES: Final = 60


class SystemFailed(Exception):
    """Tandem did not come up."""


@dataclass(frozen=True, slots=True)
class Running:
    """A running system: the orchestrator's address, and the process at its root."""

    address: str
    pid: int


@asynccontextmanager
async def running(
    mode: Mode, triton: str, profile: Path | None = None, *, environment: Mapping[str, str] = {}
) -> AsyncIterator[Running]:
    """Run Tandem on a Triton while the context is open; `profile` is where to write what it did meanwhile.

    Its environment is this process's with the variables given.

    Raises:
        SystemFailed: it did not become healthy.
    """
    command = [sys.executable, __file__, mode, triton, *(["--profile", str(profile)] if profile else [])]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        address = (await process.stdout.readline()).decode().strip()
        if not address or not await wait_healthy(address, ("",), START_SECONDS):
            raise SystemFailed(f"the {mode} system did not become healthy; its messages above say why")
        yield Running(address, process.pid)
    finally:
        process.stdin.close()
        await process.wait()


async def _serve(mode: Mode, triton: str, profile: Path | None) -> None:
    deploy = deploy_folder()
    catalogue = deploy / "catalogue.yaml"
    addresses = dict.fromkeys(load_catalogue(catalogue).tiers, triton)
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        # What is measured includes the ledger.
        ledger = f"sqlite:///{folder}/ledger.sqlite"
        system = System(addresses, "127.0.0.1:0", catalogue, deploy / "policy.yaml", ledger)
        await _serve_system(mode, system, profile)


async def _serve_system(mode: Mode, system: System, profile: Path | None) -> None:
    configure(system.log_format, system.log_level)
    async with (together if mode == "embedded" else separate)(system) as address:
        print(address, flush=True)
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        await asyncio.to_thread(sys.stdin.read)
        profiler.disable()
    if profile:
        with profile.open("w") as out:
            pstats.Stats(profiler, stream=out).sort_stats("tottime").print_stats(PROFILE_LINES)


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mode", choices=["embedded", "separate"])
    parser.add_argument("triton", metavar="HOST:PORT", help="Triton's gRPC address")
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="write a profile of this process at the end"
    )
    options = parser.parse_args()
    asyncio.run(_serve(options.mode, options.triton, options.profile))


if __name__ == "__main__":
    main()
