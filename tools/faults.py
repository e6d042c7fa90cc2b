"""The fault matrix: whatever breaks, is everybody answered once, in time, and are the books right?

Starts a real Triton for each tier with the simulator models, and for every row a Tandem of its own; breaks something
while questions are put, half of them streamed, and checks every answer to the byte. With --target it does the rows that
need no control of processes against a deployment that serves the simulator models.

Columns: sent; in time (answered by the deadline, degraded or not; of clients that leave or do not read nobody expects
an end); degraded; errors (typed, with ErrorInfo); late (ended more than 50 ms after the deadline, or by nothing but the
client's own deadline); lost (an end without a type, or none); bytes (answers with a wrong, missing or repeated byte, or
a seam at the wrong place); amplification (attempts for each request, the voices of an ensemble counting as one); ledger
(tokens by which the ledger differs from the engines' own counters, for each token of theirs; prompts and answers).

The bars: 99.9 % in time where a tier is well, nothing late, lost or wrong, amplification at most 1.1, ledger within
0.1 %. `in_time_share` is the share of answers in time over all requests, of clients that wait, in rows where a tier is
well. The amplification means something from 300 requests on: the first requests find out that a tier is sick.

Exit status: 0 all bars are kept, 1 a row breaks one, 2 a wrong call, something could not be started,
or it was interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from fault_matrix.layout import Mode
from fault_matrix.matrix import Target, run_in_own_world, run_on_target
from fault_matrix.process import StartFailed
from fault_matrix.process_rows import PROCESS_ROWS
from fault_matrix.prompt_rows import PROMPT_ROWS
from fault_matrix.report import as_object, as_table
from fault_matrix.result import Result
from fault_matrix.row import Row
from tandem.embedded.errors import EmbeddedError
from tandem.embedded.system import wait_healthy
from tandem.ledger.checking import MetricsUnreadable
from tandem.ledger.errors import LedgerUnusable
from tandem.serving.tls import Tls, TlsUnusable

T = TypeVar("T")
ROWS: Final = (*PROMPT_ROWS, *PROCESS_ROWS)
REQUESTS: Final = 320
REACH_SECONDS: Final = 5.0


def say(text: str) -> None:
    """Tell people what happens."""
    print(text, file=sys.stderr, flush=True)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    listed = "\n".join(f"  {row.name:18} {row.what}" for row in ROWS)
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\nRows:\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", metavar="HOST:PORT", help="the orchestrator of a deployment to test")
    for option, what in (
        ("ca", "authorities of the target's certificate, to speak TLS"),
        ("cert", "certificate to show to the target"),
        ("key", "key of that certificate"),
    ):
        variable = f"TANDEM_{option.upper()}"
        parser.add_argument(
            f"--{option}",
            type=Path,
            metavar="FILE",
            default=os.environ.get(variable),
            help=f"{what} (default: ${variable})",
        )
    parser.add_argument(
        "--server-name",
        metavar="NAME",
        default=os.environ.get("TANDEM_SERVER_NAME", ""),
        help="name in the target's certificate (default: $TANDEM_SERVER_NAME)",
    )
    parser.add_argument(
        "--ledger", metavar="URL", default="", help="SQLAlchemy URL of the target's ledger, for amplification"
    )
    parser.add_argument(
        "--metrics",
        metavar="URL",
        nargs="+",
        default=[],
        help="metrics addresses of all the target's Tritons, http://HOST:8002/metrics; with --ledger, for the ledger's "
        "error, while nobody else uses the target",
    )
    parser.add_argument(
        "--requests",
        type=int,
        metavar="N",
        default=REQUESTS,
        help="requests of a row (default %(default)s); burst puts a quarter more",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="ROW",
        choices=[row.name for row in ROWS],
        help="these rows, named as below",
    )
    parser.add_argument(
        "--mode",
        choices=get_args(Mode),
        help="how Tandem runs where a row leaves it open: in one process (default), or a process for each service",
    )
    parser.add_argument("--json", action="store_true", help="print one object in place of the table")
    options = parser.parse_args(words)
    if options.requests < 1:
        parser.error("--requests must be at least 1")
    if options.target and options.mode:
        parser.error("--mode is about the Tandem that is started here: leave it out, or --target")
    if not options.target and (options.ledger or options.metrics):
        parser.error("--ledger and --metrics belong to a deployment: name it with --target")
    if options.metrics and not options.ledger:
        parser.error("--metrics are compared with the ledger: name it with --ledger")
    return options


async def run(options: argparse.Namespace) -> tuple[list[Result], list[Row]]:
    """Do what the command line says; return the results and the rows that were left out."""
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    if not options.target:
        mode: Mode = options.mode or "embedded"
        return await run_in_own_world(mode, rows, options.requests, say), []
    tls = Tls(options.ca, options.cert, options.key, options.server_name)
    spoken = tls if tls.named() else None
    if not await wait_healthy(options.target, ("",), REACH_SECONDS, spoken):
        raise StartFailed(f"{options.target} is not healthy; name the address of a running orchestrator")
    target = Target(options.target, options.ledger, options.metrics, spoken)
    possible = [row for row in rows if not row.needs_control]
    skipped = [row for row in rows if row.needs_control]
    return await run_on_target(target, possible, options.requests, say), skipped


async def stoppable(work: Coroutine[Any, Any, T]) -> T:
    """Do some work; SIGTERM ends it as Ctrl-C does, with everything that it started."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def tell_problems(results: Sequence[Result]) -> None:
    """Tell people what went wrong in rows that break a bar."""
    for result in results:
        if not result.broken:
            continue
        for problem in [*result.tally.words(), *result.books.words]:
            say(f"{result.row.name}: {problem}")
        if result.folder:
            say(f"{result.row.name}: logs and ledger are in {result.folder}")


def main() -> int:
    """Run the program and return its exit status."""
    options = arguments()
    try:
        results, skipped = asyncio.run(stoppable(run(options)))
    except (EmbeddedError, LedgerUnusable, MetricsUnreadable, StartFailed, TlsUnusable) as error:
        say(f"faults: {error}")
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("faults: interrupted")
        return 2
    tell_problems(results)
    print(json.dumps(as_object(results, skipped), indent=2) if options.json else as_table(results, skipped))
    return 1 if any(result.broken for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
