"""One streamed answer, as a client hears it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tandem.client import Client, Event
from tandem.v1 import types_pb2

DEADLINE_SECONDS: Final = 20.0
SHOWN: Final = 20
"""So many words are a beginning."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A streamed answer."""

    words: int
    """How many were asked for."""
    events: list[Event]
    times: list[float]
    """When each came, in seconds since the question."""
    answer: types_pb2.Answer

    @property
    def seconds(self) -> float:
        """From question to end."""
        return self.times[-1]

    @property
    def pause_ms(self) -> float:
        """How long nothing was heard around the seam; 0 without one."""
        for number, event in enumerate(self.events):
            if event.HasField("seam"):
                return 1000.0 * (self.times[number + 1] - self.times[number - 1])
        return 0.0

    @property
    def kinds(self) -> list[str]:
        """The kinds of its events in order, neighbours of the same kind taken together."""
        names = [event.WhichOneof("event") or "" for event in self.events]
        return [name for name, before in zip(names, ["", *names], strict=False) if name != before]

    @property
    def text(self) -> str:
        """Its text, as it was shown."""
        return "".join(event.text.delta for event in self.events)

    @property
    def story(self) -> list[tuple[str, str]]:
        """Model and outcome of each attempt."""
        return [
            (attempt.model, types_pb2.AttemptOutcome.Name(attempt.outcome).removeprefix("ATTEMPT_OUTCOME_"))
            for attempt in self.answer.attempts
        ]

    def __str__(self) -> str:
        tokens = [attempt.usage.output_tokens for attempt in self.answer.attempts]
        steps = ", ".join(
            f"{model} {outcome} ({made})" for (model, outcome), made in zip(self.story, tokens, strict=True)
        )
        return f"{steps}; {' '.join(self.kinds)}"


async def hear(client: Client, tier: str, words: int, begun: asyncio.Event | None = None) -> Heard:
    """Ask a tier for an answer of some words and listen to the end; `begun` is set once SHOWN words have come."""
    started, seen = time.monotonic(), 0
    events, times = [], []
    stream = client.stream(f"Say {words} words.", tier=tier, no_cache=True, deadline_seconds=DEADLINE_SECONDS)
    async for event in stream:
        events.append(event)
        times.append(time.monotonic() - started)
        seen += event.text.delta.count("t")
        if begun and seen >= SHOWN:
            begun.set()
    return Heard(words, events, times, stream.answer)


def summary(heard: Sequence[Heard]) -> list[str]:
    """Describe answers, those with the same story together."""
    together = Counter(str(each) for each in heard)
    slowest, pause = max(each.seconds for each in heard), max(each.pause_ms for each in heard)
    seam = f", longest pause at a seam {pause:.0f} ms" if pause else ""
    return [*(f"{count} x {text}" for text, count in together.items()), f"slowest {slowest:.1f} s{seam}"]
