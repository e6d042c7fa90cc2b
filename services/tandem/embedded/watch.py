"""Watches a ready Triton: loads a model again that died or stays unready, and says when to restart Triton itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from tandem.embedded.backoff import Backoff
from tandem.embedded.control import TritonControl
from tandem.embedded.server_process import ServerProcess, TritonSpec
from tandem.embedded.stubs import live_stubs

LOOK_SECONDS: Final = 0.25
"""Time between two looks at the models' processes."""
POLL_SECONDS: Final = 2.0
"""Time between two questions to Triton whether its models are ready."""
UNREADY_POLLS: Final = 2
"""A model that is unready for so many polls in a row is loaded again."""
SILENT_POLLS: Final = 3
"""A Triton that answers none of so many polls in a row is restarted."""


class Watch:
    """Watches one run of Triton, from ready to its end."""

    def __init__(
        self,
        server: ServerProcess,
        control: TritonControl,
        spec: TritonSpec,
        on_models_down: Callable[[frozenset[str]], None],
    ) -> None:
        self._server = server
        self._control = control
        self._spec = spec
        self._on_models_down = on_models_down
        self._expected = live_stubs(server.pid)
        self._unready: Counter[str] = Counter()
        self._reloads: dict[str, asyncio.Task[str]] = {}
        self._backoffs = {model: Backoff() for model in spec.models}
        self._loaded_at = dict.fromkeys(spec.models, time.monotonic())

    async def until_failure(self) -> str:
        """Return why Triton has to be restarted, as soon as it has to."""
        tasks = [
            asyncio.create_task(each)
            for each in (self._until_end(), self._until_silent(), self._keep_models())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in (*tasks, *self._reloads.values()):
                task.cancel()

    async def _until_end(self) -> str:
        status = await self._server.wait()
        return (
            f"tritonserver was killed by signal {status - 128}"
            if status > 128
            else f"tritonserver ended: {status}"
        )

    async def _until_silent(self) -> str:
        silent = 0
        while silent < SILENT_POLLS:
            await asyncio.sleep(POLL_SECONDS)
            watched = [model for model in self._spec.models if model not in self._reloads]
            answers = await asyncio.gather(*(self._control.model_ready(model) for model in watched))
            silent = silent + 1 if None in answers else 0
            for model, ready in zip(watched, answers, strict=True):
                self._unready[model] = self._unready[model] + 1 if ready is False else 0
        return f"Triton did not answer {SILENT_POLLS} questions in a row"

    async def _keep_models(self) -> str:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for model in self._broken():
                self._reloads[model] = asyncio.create_task(self._reload(model))
                self._on_models_down(frozenset(self._reloads))
            for model, task in list(self._reloads.items()):
                if not task.done():
                    continue
                if task.result():
                    return f"{model} could not be loaded again: {task.result()}"
                del self._reloads[model]
                self._on_models_down(frozenset(self._reloads))

    def _broken(self) -> list[str]:
        live = live_stubs(self._server.pid)
        return [
            model
            for model in self._spec.models
            if model not in self._reloads
            and (live.get(model, 0) < self._expected.get(model, 0) or self._unready[model] >= UNREADY_POLLS)
        ]

    async def _reload(self, model: str) -> str:
        await asyncio.sleep(self._backoffs[model].after_failure(time.monotonic() - self._loaded_at[model]))
        failure = await self._control.reload(model, self._spec.ready_seconds)
        self._loaded_at[model] = time.monotonic()
        self._unready[model] = 0
        return failure
