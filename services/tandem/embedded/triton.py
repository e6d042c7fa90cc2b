"""Keeps a Triton running as a child process: starts it, watches it, restarts it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tandem.deployment import deploy_folder
from tandem.embedded.backoff import Backoff
from tandem.embedded.control import TritonControl, serves_metrics
from tandem.embedded.errors import TritonFailed
from tandem.embedded.log_tail import log_tail
from tandem.embedded.run_folder import RunFolder
from tandem.embedded.server_process import LOOPBACK, ServerProcess, TritonSpec, free_ports
from tandem.embedded.watch import Watch

PORT_TRIES: Final = 3
READY_POLL_SECONDS: Final = 0.1
PORT_TAKEN: Final = "already in use"


class TritonState(enum.Enum):
    """Where a supervised Triton is."""

    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing off"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class TritonStatus:
    """What is known of a supervised Triton now."""

    state: TritonState
    models_down: frozenset[str] = frozenset()
    """Models that are being loaded again while the others answer. All are down unless the state is READY."""
    restarts: int = 0
    detail: str = ""
    """Why it is not ready, for people."""


class TritonProcess:
    """A Triton that is kept running between `start` and `stop`, always on the same ports.

    `on_status` is called, in the event loop, whenever the status changes.
    """

    def __init__(
        self, spec: TritonSpec, cache: Path, on_status: Callable[[TritonStatus], None] = lambda status: None
    ) -> None:
        self._spec = spec
        self._on_status = on_status
        self._ports = free_ports()
        self._folder = RunFolder(cache / "runs")
        self._folder.add_backends([spec.environment.python_backend, *spec.backends])
        self._folder.add_library(deploy_folder() / "triton" / "library")
        self._backoff = Backoff()
        self._server: ServerProcess | None = None
        self._supervision: asyncio.Task[None] | None = None
        self._was_ready = asyncio.Event()
        self._ready_at = 0.0
        self.status = TritonStatus(TritonState.STOPPED)
        """The present status."""

    @property
    def grpc_address(self) -> str:
        """Where Triton's gRPC service listens."""
        return f"{LOOPBACK}:{self._ports.grpc}"

    @property
    def http_address(self) -> str:
        """Where Triton's HTTP service listens."""
        return f"{LOOPBACK}:{self._ports.http}"

    @property
    def metrics_url(self) -> str:
        """Where Prometheus finds Triton's and the engines' metrics."""
        return f"http://{LOOPBACK}:{self._ports.metrics}/metrics"

    @property
    def log(self) -> Path:
        """Where everything goes that Triton and its models print; removed by `stop`."""
        return self._folder.log

    @property
    def pid(self) -> int:
        """Process id of tritonserver; 0 while none runs."""
        return self._server.pid if self._server and self._server.running else 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start Triton and wait until all models are ready; from then on it is restarted whenever it fails.

        Raises:
            TritonFailed: it did not become ready; carries Triton's own words. Nothing is left running.
        """
        self._supervision = asyncio.create_task(self._supervise(), name="triton supervision")
        was_ready = asyncio.create_task(self._was_ready.wait())
        try:
            await asyncio.wait([self._supervision, was_ready], return_when=asyncio.FIRST_COMPLETED)
            if self._supervision.done():
                self._supervision.result()
        except BaseException as error:
            await self._end_supervision()
            self._folder.keep()
            self._set(TritonStatus(TritonState.STOPPED, detail=str(error)))
            raise
        finally:
            was_ready.cancel()

    async def stop(self) -> None:
        """End Triton and everything that it started, and remove the run's folder."""
        await self._end_supervision()
        self._folder.remove()
        self._set(TritonStatus(TritonState.STOPPED, restarts=self.status.restarts))

    async def _end_supervision(self) -> None:
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.wait([self._supervision])

    async def _supervise(self) -> None:
        port_tries = 1
        while True:
            self._set(replace(self.status, state=TritonState.STARTING, models_down=frozenset()))
            self._ready_at = time.monotonic()
            try:
                failure = await self._run_once()
            except (TritonFailed, OSError) as error:
                failure = str(error)
                if not self._was_ready.is_set():
                    if port_tries == PORT_TRIES or PORT_TAKEN not in failure:
                        raise
                    # Somebody took a port between the look and the start; nobody knows the old ones yet.
                    port_tries += 1
                    self._ports = free_ports()
                    continue
            await self._back_off(failure)

    async def _back_off(self, failure: str) -> None:
        seconds = self._backoff.after_failure(time.monotonic() - self._ready_at)
        restarts = self.status.restarts + 1
        self._set(
            TritonStatus(
                TritonState.BACKING_OFF, restarts=restarts, detail=f"{failure}; restart in {seconds:.1f} s"
            )
        )
        await asyncio.sleep(seconds)

    async def _run_once(self) -> str:
        """Start Triton, watch it, and return why it has to be restarted; nothing of it is left then."""
        self._server = server = await ServerProcess.start(self._spec, self._ports, self._folder)
        try:
            async with TritonControl(self.grpc_address) as control:
                await self._until_ready(server, control)
                self._ready_at = time.monotonic()
                self._set(replace(self.status, state=TritonState.READY, detail=""))
                self._was_ready.set()
                return await Watch(server, control, self._spec, self._on_models_down).until_failure()
        finally:
            await server.stop()

    async def _until_ready(self, server: ServerProcess, control: TritonControl) -> None:
        deadline = time.monotonic() + self._spec.ready_seconds
        while server.running and time.monotonic() < deadline:
            # The metrics service is the last to start: before it, Triton may still find a port taken and end.
            if await control.ready() and await serves_metrics(LOOPBACK, self._ports.metrics):
                return
            await asyncio.sleep(READY_POLL_SECONDS)
        what = "was not ready in time" if server.running else "ended before it was ready"
        raise TritonFailed(f"Triton {what}. Its log ({self.log}) ends with:\n{log_tail(self.log)}")

    def _on_models_down(self, models: frozenset[str]) -> None:
        detail = f"loading again: {', '.join(sorted(models))}" if models else ""
        self._set(replace(self.status, models_down=models, detail=detail))

    def _set(self, status: TritonStatus) -> None:
        if status != self.status:
            self.status = status
            self._on_status(status)
