"""Models that are loaded when an attempt needs them and unloaded when none has for a while: down to zero and back.

Triton's model control API does it, and Triton knows what counts: whether a model is ready, and when it last answered.
So several inference services may share a Triton, each of them may restart at any time, and Triton too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tandem.catalogue import Variant
from tandem.errors import BackendUnavailable, OutOfMemory
from tandem.inference.failures import read_failure
from tandem.telemetry.logs import logger

LONGEST_LOAD_SECONDS: Final = 1800.0
FAILED_SECONDS: Final = 30.0
"""So long a model counts as sick, and not as asleep, that could not be loaded."""
CONTROL_SECONDS: Final = 5.0
"""Longest wait for an answer to anything but a load."""
UNLOAD_POLL_SECONDS: Final = 0.05
"""Triton says yes to an unload before it is done."""
LONGEST_UNLOAD_SECONDS: Final = 15.0
"""Streams of another inference service to the same Triton are closed after ten idle seconds."""

_log = logger("loading")


@dataclass(slots=True)
class _Model:
    """What is known of one model here; the rest, Triton is asked."""

    users: int = 0
    """Attempts under way, those included that wait for it to be loaded."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One load or unload at a time."""
    loading: asyncio.Task[None] | None = None
    unloading: asyncio.Task[None] | None = None
    """Waits until nobody has needed the model for long enough."""
    broken: bool = False
    """It failed in a way that a fresh one may not."""
    failed_at: float = float("-inf")
    """When it could not be loaded the last time."""


class Loader:
    """Has the models of variants on demand loaded and unloaded by one Triton.

    Args:
        channel: to Triton.
        let_go: closes what is open and idle to Triton, which keeps a model for as long as a stream is open that it
            has answered on.
    """

    def __init__(self, channel: grpc.aio.Channel, let_go: Callable[[], None] = lambda: None) -> None:
        self._let_go = let_go
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._models: dict[str, _Model] = {}

    @asynccontextmanager
    async def awake(self, variant: Variant) -> AsyncIterator[None]:
        """Have a variant loaded while the context is open, and for a while after. All that wait share one load.

        Raises:
            OutOfMemory: there is no room for it.
            BackendUnavailable: Triton is away or cannot load it.
        """
        model = self._model(variant)
        model.users += 1
        try:
            if not await self._is_up(variant.model, model):
                await asyncio.shield(self._load(variant, model))
            yield
        except BackendUnavailable:
            model.broken = True
            raise
        finally:
            model.users -= 1
            if model.users == 0:
                self._watch(variant, model)

    def found_ready(self, variant: Variant) -> None:
        """Note that a model is loaded; if nobody here has asked for it, it is unloaded in time all the same."""
        model = self._model(variant)
        if model.users == 0 and model.unloading is None:
            self._watch(variant, model)

    async def is_asleep(self, variant: Variant) -> bool:
        """Whether a model that is not ready waits to be needed: Triton has it, and did not fail to load it just now."""
        if time.monotonic() < self._model(variant).failed_at + FAILED_SECONDS:
            return False
        try:
            return await self._state(variant.model) is not None
        except grpc.aio.AioRpcError:
            return False

    def _model(self, variant: Variant) -> _Model:
        return self._models.setdefault(variant.model, _Model())

    def _load(self, variant: Variant, model: _Model) -> asyncio.Task[None]:
        """Return the load that is under way, or begin one. Whoever stops waiting for it does not stop it."""
        if model.loading is None:
            model.loading = _started(self._load_now(variant, model))
        return model.loading

    async def _load_now(self, variant: Variant, model: _Model) -> None:
        name, began = variant.model, time.monotonic()
        request = service_pb2.RepositoryModelLoadRequest(model_name=name)
        try:
            async with model.turn:
                await self._stub.RepositoryModelLoad(request, timeout=LONGEST_LOAD_SECONDS)
            model.broken = False
            _log.info("model loaded", model=name, seconds=round(time.monotonic() - began, 3))
        except grpc.aio.AioRpcError as error:
            model.failed_at, why = time.monotonic(), error.details() or error.code().name
            _log.warning("model not loaded", model=name, why=why)
            failure = read_failure(name, why)
            if isinstance(failure, OutOfMemory):
                raise failure from error
            raise BackendUnavailable(f"{name} could not be loaded: {why}") from error
        finally:
            model.loading = None
            if model.users == 0:
                self._watch(variant, model)

    def _watch(self, variant: Variant, model: _Model) -> None:
        if model.unloading is not None:
            model.unloading.cancel()
        model.unloading = _started(self._unload_when_idle(variant, model))

    async def _unload_when_idle(self, variant: Variant, model: _Model) -> None:
        """Unload a model that nobody has asked for long enough, whichever service."""
        left = 0.0 if model.broken else variant.idle_seconds
        while left > 0.0:
            await asyncio.sleep(left)
            left = 0.0 if model.users else variant.idle_seconds - await self._idle_seconds(variant.model)
        # From here on it is not to be cancelled: what has begun is waited for by the next load.
        model.unloading = None
        async with model.turn:
            if model.users == 0:
                await self._unload_now(variant.model)
                model.broken = False

    async def _unload_now(self, name: str) -> None:
        request = service_pb2.RepositoryModelUnloadRequest(model_name=name)
        self._let_go()
        try:
            await self._stub.RepositoryModelUnload(request, timeout=CONTROL_SECONDS)
            for _ in range(round(LONGEST_UNLOAD_SECONDS / UNLOAD_POLL_SECONDS)):
                if await self._state(name) not in ("READY", "UNLOADING"):
                    break
                await asyncio.sleep(UNLOAD_POLL_SECONDS)
            _log.info("model unloaded", model=name)
        except grpc.aio.AioRpcError as error:
            # The next health check finds it loaded, and begins again.
            _log.warning("model not unloaded", model=name, why=error.details() or error.code().name)

    async def _is_up(self, name: str, model: _Model) -> bool:
        """Whether a model is ready, and not about to be loaded or unloaded."""
        if model.loading is not None:
            return False
        async with model.turn:
            return await self._is_ready(name)

    async def _is_ready(self, name: str) -> bool:
        try:
            answer = await self._stub.ModelReady(
                service_pb2.ModelReadyRequest(name=name), timeout=CONTROL_SECONDS
            )
        except grpc.aio.AioRpcError:
            # Loading it tells what is the matter.
            return False
        return bool(answer.ready)

    async def _idle_seconds(self, name: str) -> float:
        """Return how long ago the model last answered anybody."""
        try:
            answer = await self._stub.ModelStatistics(
                service_pb2.ModelStatisticsRequest(name=name), timeout=CONTROL_SECONDS
            )
        except grpc.aio.AioRpcError:
            return float("inf")
        last_ms = max((each.last_inference for each in answer.model_stats), default=0)
        return time.time() - last_ms / 1000.0

    async def _state(self, name: str) -> str | None:
        """Return the state in Triton's index of a model, empty if it was never loaded; None: Triton has none such."""
        index = await self._stub.RepositoryIndex(
            service_pb2.RepositoryIndexRequest(), timeout=CONTROL_SECONDS
        )
        return next((str(each.state) for each in index.models if each.name == name), None)


def _started(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    # Nobody may be waiting for it any more when it fails; the log has it then.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
