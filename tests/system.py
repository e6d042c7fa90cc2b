"""Real processes for tests: a Triton with the simulator, and Tandem as `tandem up` starts it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tandem.cache_folder import cache_folder
from tandem.embedded.environment import prepare
from tandem.embedded.progress import progress_on
from tandem.embedded.server_process import TritonSpec
from tandem.embedded.system import wait_healthy
from tandem.embedded.triton import TritonProcess

TANDEM: Final = Path(sys.executable).with_name("tandem")
SIMULATOR: Final = Path(__file__).parent / "triton"
CATALOGUE: Final = SIMULATOR / "catalogue.yaml"
POLICY: Final = SIMULATOR / "policy.yaml"
TIERS: Final = ("r1", "pro")
MODELS: Final = ("r1", "r1-int8", "pro")
STOP_SECONDS: Final = 25.0
ANNOUNCEMENT: Final = "Tandem answers at "


@asynccontextmanager
async def simulated_triton(models: Sequence[str] = MODELS) -> AsyncIterator[TritonProcess]:
    """Run a Triton with models of the simulator while the context is open."""
    environment = await asyncio.to_thread(prepare, cache_folder(), progress_on(sys.stderr))
    spec = TritonSpec(
        environment=environment,
        models_folder=SIMULATOR / "models",
        models=models,
        backends=[SIMULATOR / "backends" / "simulator"],
        variables={},
    )
    async with TritonProcess(spec, cache_folder()) as triton:
        yield triton


@dataclass(slots=True)
class Tandem:
    """A running `tandem up`."""

    process: asyncio.subprocess.Process
    log_file: Path
    address: str = ""

    @property
    def pid(self) -> int:
        """Process id of `tandem up`."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What it has written to standard error so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def descendants(self) -> list[psutil.Process]:
        """Return all processes below it."""
        return psutil.Process(self.pid).children(recursive=True)

    def service(self, name: str, tier: str = "") -> psutil.Process:
        """Return the process of a separate service: `classifier`, or `inference` of a tier."""
        (found,) = (
            each
            for each in self.descendants()
            if each.cmdline()[-1:] == [name] and each.environ().get("TANDEM_INFERENCE_TIER", "") == tier
        )
        return found

    def resident_mb(self) -> float:
        """Return the memory of it and all processes below it."""
        everyone = [psutil.Process(self.pid), *self.descendants()]
        return sum(each.memory_info().rss for each in everyone) / 1e6

    async def ended(self, seconds: float) -> int:
        """Wait for its end and return the exit status."""
        return await asyncio.wait_for(self.process.wait(), seconds)


@asynccontextmanager
async def tandem_up(
    arguments: Sequence[str], log_file: Path, seconds: float = 120.0
) -> AsyncIterator[Tandem]:
    """Run `tandem up` on a free port while the context is open; wait until every tier is healthy.

    Its ledger lies beside its log file.
    """
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            # A shell lets what it runs in the background ignore SIGINT, this test and what it starts included.
            *("env", "--default-signal=INT"),
            TANDEM,
            "up",
            "--listen",
            "127.0.0.1:0",
            "--ledger",
            ledger_beside(log_file),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=log,
        )
    tandem = Tandem(process, log_file)
    try:
        tandem.address = await _announced(tandem, seconds)
        assert await wait_healthy(tandem.address, ("", *TIERS), seconds), tandem.log
        yield tandem
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            # Less than the 30 seconds it grants running requests: none is left, so it must not wait for any.
            await tandem.ended(STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise


def ledger_beside(log_file: Path) -> str:
    """Return the URL of the ledger of a Tandem that writes to this log file."""
    return f"sqlite:///{log_file.with_name('ledger.sqlite')}"


def metrics_of(tandem: Tandem) -> str:
    """Return where the metrics of a Tandem are that was started with `--metrics` and `--log-format json`."""
    told = [json.loads(line) for line in tandem.log.splitlines() if '"event":"metrics"' in line]
    (port,) = {each["port"] for each in told}
    return f"127.0.0.1:{port}"


@asynccontextmanager
async def simulated_tandem(
    triton: TritonProcess | Mapping[str, TritonProcess], mode: str, log_file: Path, *more: str
) -> AsyncIterator[Tandem]:
    """Run Tandem on the simulator, its services `together` or `separate`, with `more` options.

    `triton` may be one for each tier.
    """
    if isinstance(triton, TritonProcess):
        urls = [f"--triton-url={triton.grpc_address}"]
    else:
        urls = [f"--triton-url={tier}={each.grpc_address}" for tier, each in triton.items()]
    arguments = [*urls, "--catalogue", str(CATALOGUE), "--policy", str(POLICY), *more]
    async with tandem_up([*arguments, *(["--separate"] if mode == "separate" else [])], log_file) as tandem:
        yield tandem


async def _announced(tandem: Tandem, seconds: float) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end and tandem.process.returncode is None:
        _, found, rest = tandem.log.partition(ANNOUNCEMENT)
        if found and "\n" in rest:
            return rest.split(". ")[0]
        await asyncio.sleep(0.05)
    raise AssertionError(f"tandem up did not start within {seconds:.0f} s:\n{tandem.log}")
