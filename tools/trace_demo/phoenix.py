"""Arize Phoenix as the trace UI: takes spans by OTLP, shows them in a browser."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fault_matrix.process import LOOPBACK, Process, StartFailed, free_port
from trace_demo.environment import python

START_SECONDS: Final = 180.0
POLL_SECONDS: Final = 0.5
LAUNCHER: Final = Path(__file__).with_name("on_loopback.py")


@dataclass(frozen=True, slots=True)
class TraceUi:
    """A running trace UI."""

    url: str
    """Where a browser opens it."""
    otlp: str
    """Where spans go, by OTLP over gRPC."""


@asynccontextmanager
async def phoenix(environment: Path, port: int, folder: Path) -> AsyncIterator[TraceUi]:
    """Run Phoenix while the context is open; its database and its log go to `folder`.

    Raises:
        StartFailed: its port is taken, or it did not come up.
    """
    if port:
        check_free(port)
    ui = TraceUi(f"http://{LOOPBACK}:{port or free_port()}", f"http://{LOOPBACK}:{free_port()}")
    variables = {
        "PHOENIX_HOST": LOOPBACK,
        "PHOENIX_PORT": ui.url.rpartition(":")[2],
        "PHOENIX_GRPC_PORT": ui.otlp.rpartition(":")[2],
        "PHOENIX_WORKING_DIR": str(folder),
        # It talks to nobody: no figures about its use, no fonts and no pictures from elsewhere.
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
        "PHOENIX_ENABLE_MCP_SERVER": "false",
    }
    command: list[str | Path] = [python(environment), "-I", LAUNCHER, "serve"]
    process = await Process.start("phoenix", command, folder, variables)
    try:
        await _until_it_answers(process, ui)
        yield ui
    finally:
        await process.stop()


def check_free(port: int) -> None:
    """Do nothing if the UI can listen at a port.

    Raises:
        StartFailed: it cannot; another UI may be there already, and would be taken for this one.
    """
    try:
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        raise StartFailed(
            f"the UI cannot listen at port {port} ({error}); choose another with --port"
        ) from error


async def _until_it_answers(process: Process, ui: TraceUi) -> None:
    end = asyncio.get_running_loop().time() + START_SECONDS
    while not await asyncio.to_thread(_answers, f"{ui.url}/healthz"):
        if not process.running or asyncio.get_running_loop().time() > end:
            raise process.failure()
        await asyncio.sleep(POLL_SECONDS)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - ours
            return True
    except OSError:
        return False
