"""One start of the program tritonserver, below its guard."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tandem.embedded import guard
from tandem.embedded.environment import TritonEnvironment
from tandem.embedded.run_folder import RunFolder

LOOPBACK: Final = "127.0.0.1"
BOOKS_VARIABLE: Final = "TANDEM_BOOKS"
"""Tells the engines where to keep their books, so that these outlive Triton."""
STOP_MARGIN_SECONDS: Final = 15.0
"""What the guard may need beyond the grace to kill and to clean up."""
STUB_SECONDS: Final = 30.0
"""Triton's own time for the process of a Python model to start. Less fails models before the time to be ready is up."""


@dataclass(frozen=True, slots=True)
class TritonSpec:
    """What to run."""

    environment: TritonEnvironment
    models_folder: Path
    """Triton's model repository."""
    models: Sequence[str]
    """The models to load from it."""
    backends: Sequence[Path]
    """Folders of the Python-based backends that the models name; a folder's name is the backend's."""
    variables: Mapping[str, str]
    """Environment variables for the models, beside this process's own."""
    ready_seconds: float = 120.0
    """How long loading all models may take."""
    grace_seconds: float = 5.0
    """How long running requests may take to end when Triton is stopped."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on the loopback interface."""

    grpc: int
    http: int
    metrics: int


def free_ports() -> Ports:
    """Return ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return Ports(*(each.getsockname()[1] for each in sockets))


class ServerProcess:
    """A running tritonserver. Its guard kills it and its models when this process dies in whatever way."""

    def __init__(
        self, process: asyncio.subprocess.Process, pid: int, spec: TritonSpec, folder: RunFolder
    ) -> None:
        self._process = process
        self.pid = pid
        """Process id of tritonserver; 0 if it could not be started."""
        self._stop_seconds = spec.grace_seconds + STOP_MARGIN_SECONDS
        self._region_prefix = folder.region_prefix

    @classmethod
    async def start(cls, spec: TritonSpec, ports: Ports, folder: RunFolder) -> Self:
        """Start Triton; it is not ready yet."""
        with folder.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(str(spec.environment.python), "-I", "-S", guard.__file__),
                *(folder.region_prefix, str(spec.grace_seconds)),
                *_command(spec, ports, folder),
                env={
                    **spec.environment.variables(),
                    **spec.variables,
                    BOOKS_VARIABLE: str(folder.books),
                },
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            first_line = await process.stdout.readline()
        except asyncio.CancelledError:
            process.kill()
            raise
        return cls(process, int(first_line or b"0"), spec, folder)

    @property
    def running(self) -> bool:
        """Whether Triton and its guard run."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for Triton's end and return its exit status.

        It is 128 + number if a signal killed Triton, and negative if one killed its guard.
        """
        return await self._process.wait()

    async def stop(self) -> None:
        """End Triton, in order if it can within the grace, and everything that it started."""
        if self.running:
            await self._end_guard()
        if self._process.returncode and self._process.returncode < 0 and self.pid:
            self._do_what_the_guard_could_not()

    def _do_what_the_guard_could_not(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        guard.remove_regions(self._region_prefix)

    async def _end_guard(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), self._stop_seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def _command(spec: TritonSpec, ports: Ports, folder: RunFolder) -> list[str]:
    return [
        str(spec.environment.tritonserver),
        f"--model-repository={spec.models_folder}",
        f"--backend-directory={folder.backends}",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in spec.models),
        *(f"--{kind}-address={LOOPBACK}" for kind in ("grpc", "http", "metrics")),
        f"--grpc-port={ports.grpc}",
        f"--http-port={ports.http}",
        f"--metrics-port={ports.metrics}",
        f"--exit-timeout-secs={max(1, math.ceil(spec.grace_seconds))}",
        f"--backend-config=python,shm-region-prefix-name={folder.region_prefix}",
        f"--backend-config=python,stub-timeout-seconds={math.ceil(max(STUB_SECONDS, spec.ready_seconds))}",
    ]
