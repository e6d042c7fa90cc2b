"""Traces to look at: a real trace UI, a Tandem on the simulator that sends its spans there, and a demo load.

The UI is Arize Phoenix, in a Python environment of its own in the cache folder (TANDEM_CACHE_DIR, else `tandem` in the
user's cache folder): some 850 MB, fetched at the first start. It listens on this machine only and talks to nobody else.
The load has requests that go well, an ensemble, a cascade, and some that are degraded or fail, since the simulator runs
out of memory or hangs when a prompt says so. Then everything runs on until Ctrl-C; what was recorded is gone with it.

To find the degraded ones, type into the UI's filter: attributes['tandem']['keep'] == 'degraded'

Exit status: 0 it was stopped, 1 something could not be fetched or started, or it was stopped before that, 2 a wrong
call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from fault_matrix.process import LOOPBACK, Process, StartFailed, free_port
from fault_matrix.tritons import SIMULATOR, simulated_tritons
from tandem.cache_folder import cache_folder
from tandem.embedded.errors import EmbeddedError
from tandem.embedded.progress import progress_on
from tandem.embedded.system import wait_healthy
from trace_demo.environment import prepare
from trace_demo.load import Told, demo_load
from trace_demo.phoenix import TraceUi, phoenix

PORT: Final = 6006
HEALTHY_SECONDS: Final = 60.0
TIERS: Final = ("r1", "pro")
PIPE_WIDTH: Final = 130


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help="the UI's port; 0: any that is free (default %(default)s)"
    )
    parser.add_argument(
        "--together",
        action="store_true",
        help="run all services in one process: fewer spans, since fewer calls",
    )
    parser.add_argument("--fetch", action="store_true", help="only fetch the UI")
    parser.add_argument("--json", action="store_true", help="print one object in place of the table")
    return parser.parse_args(words)


def say(text: str) -> None:
    """Tell people what happens."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Running:
    """What there is to look at."""

    ui: str
    otlp: str
    tandem: str
    requests: list[Told]


@asynccontextmanager
async def running(options: argparse.Namespace, environment: Path) -> AsyncIterator[Running]:
    """Run UI and Tandem while the context is open, with the demo load done.

    Raises:
        StartFailed, EmbeddedError: something did not come up.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-trace-ui-")))
        say("Starting the trace UI, half a minute or more …")
        ui = await stack.enter_async_context(phoenix(environment, options.port, folder))
        say("Starting Triton with the simulator, and Tandem …")
        tritons = await stack.enter_async_context(simulated_tritons())
        address = await stack.enter_async_context(
            _tandem(tritons.addresses, ui, folder, together=options.together)
        )
        say("Putting the demo load …")
        yield Running(ui.url, ui.otlp, address, await demo_load(address))


@asynccontextmanager
async def _tandem(
    triton: Mapping[str, str], ui: TraceUi, folder: Path, *, together: bool
) -> AsyncIterator[str]:
    """Run `tandem up` while the context is open; yield its address."""
    address = f"{LOOPBACK}:{free_port()}"
    command = [
        *(sys.executable, "-m", "tandem.cli", "up"),
        *("--listen", address),
        *("--catalogue", str(SIMULATOR / "catalogue.yaml")),
        *("--policy", str(SIMULATOR / "policy.yaml")),
        *("--ledger", f"sqlite:///{folder}/ledger.sqlite"),
        *("--otlp", ui.otlp),
        *(f"--triton-url={tier}={each}" for tier, each in triton.items()),
        *([] if together else ["--separate"]),
    ]
    process = await Process.start("tandem", command, folder)
    try:
        if not await wait_healthy(address, ("", *TIERS), HEALTHY_SECONDS):
            raise process.failure()
        yield address
    finally:
        await process.stop(signal.SIGINT)


def table(told: Sequence[Told]) -> Table:
    """Return how the requests of the load ended."""
    shown = Table("request", "what", "answered by", "degraded", "attempts")
    for each in told:
        degraded = ", ".join(each.degradations) or "-"
        shown.add_row(each.request_id, each.title, each.answered_by, degraded, str(each.attempts or "-"))
    return shown


def show(found: Running, *, as_json: bool) -> None:
    """Tell what there is to look at."""
    if as_json:
        print(json.dumps(asdict(found)), flush=True)
        return
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table(found.requests))
    print(f"The traces are at {found.ui}, in the project `default`.")
    print("The degraded ones: attributes['tandem']['keep'] == 'degraded'")
    print(f'More: tandem ask --target {found.tandem} "Why is the sky blue?"')
    print("Ctrl-C stops everything.", flush=True)


async def run(options: argparse.Namespace) -> int:
    """Do what the command line says until SIGINT or SIGTERM; return the exit status."""
    task, stop = asyncio.current_task(), asyncio.Event()
    assert task is not None  # noqa: S101 - a coroutine that runs has a task
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    environment = await asyncio.to_thread(prepare, cache_folder(), progress_on(sys.stderr))
    if options.fetch:
        say(f"The trace UI is in {environment}.")
        return 0
    async with running(options, environment) as found:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        show(found, as_json=options.json)
        await stop.wait()
        say("Stopping …")
    return 0


def main() -> int:
    """Run the program and return its exit status."""
    options = arguments()
    try:
        return asyncio.run(run(options))
    except (EmbeddedError, StartFailed) as error:
        say(f"trace_ui: {error}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("trace_ui: interrupted")
    return 1


if __name__ == "__main__":
    sys.exit(main())
