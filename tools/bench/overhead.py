"""What Tandem costs: calling Triton directly beside calling it through Tandem.

Starts a real Triton with the simulator models, then the embedded system and the one of separate services, and runs
the same loads against Triton and through Tandem's gRPC API in turns, in short blocks, so that whatever else the machine
does hits both. This process makes the load; Tandem and Triton have their own.

The figures go to standard output, everything else to standard error. Exit status 1: a request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, get_args

import grpc.aio

from closed_loop import RequestStuck
from measurement import SCENARIOS, Bench, SystemFigures
from overhead_report import headline, tables, telemetry_table
from pairs import NothingMeasured
from question import IncompleteAnswer
from simulated_triton import simulated_triton
from system_process import Mode, SystemFailed, running
from tandem.catalogue import load_catalogue
from tandem.deployment import deploy_folder
from tandem.embedded.errors import EmbeddedError
from telemetry_cost import measure_telemetry

SECONDS: Final = 8.0
QUICK_SECONDS: Final = 1.0
PROFILE_SECONDS: Final = 10.0
FAILURES: Final = (
    grpc.aio.AioRpcError,
    EmbeddedError,
    IncompleteAnswer,
    NothingMeasured,
    RequestStuck,
    SystemFailed,
)


def say(text: str) -> None:
    """Tell people what happens."""
    print(text, file=sys.stderr, flush=True)


@asynccontextmanager
async def bench(mode: Mode, triton: str, profile: Path | None = None) -> AsyncIterator[Bench]:
    """Run a system while the context is open."""
    async with running(mode, triton, profile) as system:
        made = Bench(system, triton, load_catalogue(deploy_folder() / "catalogue.yaml"))
        try:
            yield made
        finally:
            await made.close()


async def measure(triton: str, seconds: float) -> dict[str, SystemFigures]:
    """Measure both systems."""
    measured = {}
    for mode in get_args(Mode):
        say(f"{mode}, {machine()}")
        async with bench(mode, triton) as system:
            measured[mode] = await system.measure(seconds, say)
    say(f"done, {machine()}")
    return measured


async def profile(triton: str, scenario: str) -> str:
    """Return what the embedded process spends its time on."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.txt"
        async with bench("embedded", triton, path) as system:
            await system.run_through(SCENARIOS[scenario], PROFILE_SECONDS)
        return path.read_text()


def machine() -> str:
    """Return how busy the machine is."""
    return f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one object in place of the tables")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help="time for each of the loads, for both sides together (default %(default)g)",
    )
    length.add_argument(
        "--quick",
        dest="seconds",
        action="store_const",
        const=QUICK_SECONDS,
        help="a short run, with rough figures",
    )
    parser.add_argument(
        "--triton-url", metavar="HOST:PORT", help="gRPC address of a Triton that runs the simulator models"
    )
    parser.add_argument(
        "--telemetry",
        action="store_true",
        help="measure what tracing costs: the embedded system without it, with 1 %% and with all traces kept",
    )
    parser.add_argument(
        "--profile",
        choices=list(SCENARIOS),
        help="measure nothing; profile the embedded process under one load",
    )
    return parser.parse_args()


async def run(options: argparse.Namespace) -> str:
    """Do what the command line says and return what belongs on standard output."""
    if not options.triton_url:
        async with simulated_triton() as options.triton_url:
            return await run(options)
    if options.profile:
        return await profile(options.triton_url, options.profile)
    if options.telemetry:
        traced = await measure_telemetry(options.triton_url, options.seconds, say)
        named = traced.headline()
        return json.dumps({"telemetry": named}, indent=2) if options.json else telemetry_table(named)
    measured = await measure(options.triton_url, options.seconds)
    if options.json:
        return json.dumps({mode: headline(figures) for mode, figures in measured.items()}, indent=2)
    return tables(measured)


def main() -> int:
    """Run the program and return its exit status."""
    try:
        print(asyncio.run(run(arguments())))
    except FAILURES as error:
        say(f"overhead: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
