"""Watches through Explain how the models' limits and breakers change."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Final, Self

from tandem.client import Client
from tandem.v1 import types_pb2

POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class State:
    """What Explain says of a model."""

    limit: int
    breaker: str


WELL: Final = State(8, "CLOSED")
"""Pro before and after."""


class Observer:
    """Asks all the time while the context is open, and keeps every change."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._began = time.monotonic()
        self.moments: list[tuple[float, str]] = []
        """What happened when, in seconds since the beginning."""
        self._task: asyncio.Task[None] | None = None
        self.changes: dict[str, list[tuple[float, State]]] = {}
        """By model: seconds since the beginning, and the state from then on."""

    async def __aenter__(self) -> Self:
        await self._look()
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    def note(self, what: str) -> None:
        """Keep the time of something that happens now."""
        self.moments.append((time.monotonic() - self._began, what))

    def now(self, model: str) -> State:
        """Return the latest state of a model."""
        return self.changes[model][-1][1]

    def limits(self, model: str) -> list[int]:
        """Return the limits of a model, each different from the one before."""
        found = [state.limit for _, state in self.changes[model]]
        return [limit for limit, before in zip(found, [0, *found], strict=False) if limit != before]

    def growth_times(self, model: str) -> list[float]:
        """Return when the limit of a model was seen to be higher than before, in seconds since the beginning."""
        changes = self.changes[model]
        return [seconds for (_, before), (seconds, after) in pairwise(changes) if after.limit > before.limit]

    def breakers(self, model: str) -> list[str]:
        """Return the states of a model's breaker, each different from the one before."""
        found = [state.breaker for _, state in self.changes[model]]
        return [breaker for breaker, before in zip(found, ["", *found], strict=False) if breaker != before]

    def report(self) -> list[str]:
        """Say what changed when, for people; limits are given with their breakers."""
        changes = [
            (seconds, f"  {model}: limit {state.limit}, breaker {state.breaker}")
            for model, changed in self.changes.items()
            for seconds, state in changed
        ]
        return [f"{seconds:6.2f} s  {what}" for seconds, what in sorted([*changes, *self.moments])]

    async def _watch(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> None:
        explained = await self._client.explain("Say 1 words.", tier="pro", deadline_seconds=5)
        for model in explained.models:
            breaker = types_pb2.BreakerState.Name(model.breaker).removeprefix("BREAKER_STATE_")
            changes = self.changes.setdefault(f"{model.target.tier}/{model.target.variant}", [])
            state = State(model.limit, breaker)
            if not changes or changes[-1][1] != state:
                changes.append((time.monotonic() - self._began, state))
