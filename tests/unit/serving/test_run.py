"""Would catch: a service that does not stop when told, or whose health nobody keeps current."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping

import pytest

from tandem.serving import run as running
from tandem.serving.run import always_healthy, run
from tandem.serving.server import Listen, Server
from tests.fakes.listening import ORCHESTRATOR, RULE


class Noted(Server):
    """Notes what happens to it."""

    def __init__(self) -> None:
        super().__init__(Listen("127.0.0.1:0", 1.0), RULE, [ORCHESTRATOR])
        self.events: list[str] = []
        self.told = asyncio.Event()

    async def start(self) -> None:
        await super().start()
        self.events.append("started")

    def set_health(self, serving: Mapping[str, bool]) -> None:
        super().set_health(serving)
        if "started" in self.events:
            self.events.append(f"health {serving['']}")
            self.told.set()

    async def drain(self) -> None:
        await super().drain()
        self.events.append("drained")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_told_to_stop(number: signal.Signals) -> None:
    server = Noted()
    serving = asyncio.create_task(run(server, always_healthy(ORCHESTRATOR)))
    await server.told.wait()
    os.kill(os.getpid(), number)
    async with asyncio.timeout(5):
        await serving
    assert server.events == ["started", "health True", "drained"]


async def test_health_is_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "HEALTH_SECONDS", 0.0)
    answers = [True, False, True]
    all_told = asyncio.Event()

    async def check() -> dict[str, bool]:
        if not answers:
            all_told.set()
            await asyncio.Event().wait()
        return {"": answers.pop(0)}

    server = Noted()
    serving = asyncio.create_task(run(server, check))
    await all_told.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        await serving
    assert server.events == ["started", "health True", "health False", "health True", "drained"]


async def test_always_healthy_names_everything() -> None:
    assert await always_healthy("a", "b")() == {"": True, "a": True, "b": True}
