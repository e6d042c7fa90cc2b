"""One streamed answer, as a client hears it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
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
    answer: types_pb2.Answer
    seconds: float
    """From question to end."""

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
    started, events, seen = time.monotonic(), [], 0
    stream = client.stream(f"Say {words} words.", tier=tier, no_cache=True, deadline_seconds=DEADLINE_SECONDS)
    async for event in stream:
        events.append(event)
        seen += event.text.delta.count("t")
        if begun and seen >= SHOWN:
            begun.set()
    return Heard(words, events, stream.answer, time.monotonic() - started)


def summary(heard: Iterable[Heard]) -> list[str]:
    """Describe answers, those with the same story together."""
    together = Counter(str(each) for each in heard)
    return [f"{count} x {text}" for text, count in together.items()]
