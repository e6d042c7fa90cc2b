"""Runs rows: each with a Tandem of its own, or all against one that somebody else runs."""

from __future__ import annotations

import asyncio
import gc
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fault_matrix.books import Bookkeeping
from fault_matrix.client import AskingClient
from fault_matrix.layout import Mode
from fault_matrix.load import Load
from fault_matrix.result import Result
from fault_matrix.row import Row, Scene
from fault_matrix.tandem_system import tandem_of
from fault_matrix.tritons import Tritons, simulated_tritons
from tandem.serving.clients import open_channel
from tandem.serving.tls import Tls

Say = Callable[[str], None]
DISTURBED_SECONDS: Final = 60.0
"""So long may a disturbance last."""


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment that somebody else runs."""

    address: str
    ledger: str = ""
    metrics_urls: Sequence[str] = ()
    tls: Tls | None = None
    """How to speak TLS with it; None: in plaintext."""


async def run_on_target(target: Target, rows: Sequence[Row], count: int, say: Say) -> list[Result]:
    """Run the rows that only put questions against a deployment."""
    results = []
    for row in rows:
        say(f"{row.name}: {row.what}")
        bookkeeping = Bookkeeping(target.ledger, target.metrics_urls)
        load = _load(row, count)
        await bookkeeping.open()
        await _put(load, target.address, target.tls)
        results.append(await _closed(row, load, bookkeeping))
    return results


async def run_in_own_world(mode: Mode, rows: Sequence[Row], count: int, say: Say) -> list[Result]:
    """Run rows on Tritons that are started for them.

    Raises:
        StartFailed: a part of the world did not come up.
        EmbeddedError: Triton cannot run on this machine, or did not start.
    """
    results = []
    say("starting a Triton for each tier")
    async with simulated_tritons() as tritons:
        for row in rows:
            say(f"{row.name}: {row.what}")
            results.append(await _run_row(mode, row, count, tritons))
            await tritons.heal()
    return results


async def _run_row(mode: Mode, row: Row, count: int, tritons: Tritons) -> Result:
    folder = Path(tempfile.mkdtemp(prefix=f"tandem-{row.name}-"))
    async with tandem_of(row.layout, mode, tritons.addresses, folder) as tandem:
        bookkeeping = Bookkeeping(tandem.ledger, tritons.metrics_urls)
        load = _load(row, count)
        await bookkeeping.open()
        async with _disturbed(row, Scene(tandem, tritons, load)):
            await _put(load, tandem.address)
        result = await _closed(row, load, bookkeeping)
    if result.broken:
        return replace(result, folder=folder)
    shutil.rmtree(folder)
    return result


def _load(row: Row, count: int) -> Load:
    return Load([row.ask(number) for number in range(max(1, round(row.share * count)))], row.at_once)


async def _put(load: Load, address: str, tls: Tls | None = None) -> None:
    # A full collection in the midst of the load would stop this process for so long that answers seem late.
    gc.collect()
    gc.freeze()
    async with open_channel(address, tls) as channel:
        await load.run(AskingClient(channel).ask)


@asynccontextmanager
async def _disturbed(row: Row, scene: Scene) -> AsyncIterator[None]:
    """Bring the fault about while the context is open, and wait for its end."""
    if row.disturb is None:
        yield
        return
    disturbance = asyncio.ensure_future(row.disturb(scene))
    try:
        yield
        await asyncio.wait_for(disturbance, DISTURBED_SECONDS)
    finally:
        disturbance.cancel()


async def _closed(row: Row, load: Load, bookkeeping: Bookkeeping) -> Result:
    return Result(row, load.tally, await bookkeeping.settled(load.tally.waited))
