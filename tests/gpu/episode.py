"""A card runs out of memory while answers are streamed, stays full for a while, and is freed: what clients see."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tandem.client import Client
from tandem.embedded.triton import TritonProcess
from tests.engine_books import EngineBooks
from tests.gpu.hearing import Heard, hear, summary
from tests.gpu.neighbour import Memory, Neighbour
from tests.gpu.observer import WELL, Observer
from tests.system import Tandem

STREAMS: Final = 8
"""As many as Pro bears at a time."""
LONG, SHORT = 400, 40
"""Words of an answer."""
ASKED_WHILE_FULL: Final = 20
RECOVERY_SECONDS: Final = 40.0
PAUSE_SECONDS: Final = 0.2
COUNTS: Final = ("requests", "input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Episode:
    """All that was seen."""

    memory: dict[str, Memory]
    """By moment."""
    answers: dict[str, list[Heard]]
    """By when and from whom: `surprised` were under way when the memory ran out, `full` were asked for one after the
    other while there was none, `recovering` until all was well again, `recovered` after that."""
    observer: Observer
    pids: list[dict[str, int]]
    """The models' processes, before and after."""
    engine: dict[str, dict[str, int]]
    """What the engines counted, by count and model."""

    def report(self) -> str:
        """Say what happened, for people."""
        memory = [
            f"{moment}: {used(each)} of {each.total >> 20} MiB are used, {each.held >> 20} of them by the neighbour"
            for moment, each in self.memory.items()
        ]
        answers = [f"{when}: {line}" for when, heard in self.answers.items() for line in summary(heard)]
        detail = self.answers["surprised pro"][0].answer.degradations[0].detail
        counts = [f"the engines' {what}: {by_model}" for what, by_model in self.engine.items()]
        return "\n".join([*memory, *answers, *self.observer.report(), f"Triton's words: {detail}", *counts])


def used(memory: Memory) -> int:
    """Return how many MiB somebody has."""
    return (memory.total - memory.free) >> 20


async def run_episode(triton: TritonProcess, system: Tandem, neighbour: Neighbour) -> Episode:
    """Let it happen."""
    memory = {"idle": await neighbour.look()}
    answers: dict[str, list[Heard]] = {}
    pids = [models_below(triton.pid)]
    async with Client(system.address) as client, Observer(client) as observer:
        under_way = await begun(client)
        observer.note("every client has seen a beginning; the neighbour takes what is free")
        memory["answering"] = await neighbour.look()
        memory["taken"] = await neighbour.take()
        observer.note("nothing is free")
        *answers["surprised pro"], last = await asyncio.gather(*under_way)
        answers["surprised r1"] = [last]
        observer.note("these answers are given; more questions, one after the other")
        memory["full"] = await neighbour.look()
        answers["full pro"] = [await hear(client, "pro", SHORT) for _ in range(ASKED_WHILE_FULL)]
        answers["full r1"] = [await hear(client, "r1", SHORT)]
        memory["freed"] = await neighbour.free()
        observer.note("the neighbour has given everything back")
        answers["recovering pro"] = await until_well(client, observer)
        observer.note("all is well again; as many questions at a time as in the beginning")
        answers["recovered pro"] = await asyncio.gather(*(hear(client, "pro", LONG) for _ in range(STREAMS)))
        pids.append(models_below(triton.pid))
    books = EngineBooks(triton.metrics_url)
    return Episode(memory, answers, observer, pids, {what: await books.settled(what) for what in COUNTS})


async def begun(client: Client) -> list[asyncio.Task[Heard]]:
    """Return long answers under way, all of Pro but the last, each with a beginning that was shown."""
    shown = [asyncio.Event() for _ in range(STREAMS + 1)]
    tiers = ["pro"] * STREAMS + ["r1"]
    tasks = [
        asyncio.create_task(hear(client, tier, LONG, event)) for tier, event in zip(tiers, shown, strict=True)
    ]
    await asyncio.gather(*(event.wait() for event in shown))
    return tasks


async def until_well(client: Client, observer: Observer) -> list[Heard]:
    """Ask Pro one question after the other until it is as it was in the beginning."""
    heard = []
    end = time.monotonic() + RECOVERY_SECONDS
    while observer.now("pro/bf16") != WELL and time.monotonic() < end:
        heard.append(await hear(client, "pro", SHORT))
        await asyncio.sleep(PAUSE_SECONDS)
    return heard


def models_below(pid: int) -> dict[str, int]:
    """Return the process of each model."""
    commands = {child.pid: child.cmdline() for child in psutil.Process(pid).children(recursive=True)}
    return {
        Path(command[1]).parents[1].name: child
        for child, command in commands.items()
        if len(command) > 1 and command[0].endswith("triton_python_backend_stub")
    }
