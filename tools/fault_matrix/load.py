"""Puts a row's questions: so many at a time, each followed by the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from fault_matrix.checker import Tally
from fault_matrix.outcome import Outcome
from fault_matrix.question import Question

Ask = Callable[[Question], Awaitable[Outcome]]


class Load:
    """The questions of one row, and how far they have come."""

    def __init__(self, questions: Sequence[Question], at_once: int) -> None:
        self._questions = questions
        self._at_once = at_once
        self._next = iter(questions)
        self._changed = asyncio.Event()
        self.tally = Tally()

    async def run(self, ask: Ask) -> None:
        """Put all questions."""
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._at_once, len(self._questions))):
                group.create_task(self._work(ask))

    async def _work(self, ask: Ask) -> None:
        for question in self._next:
            self.tally.add(question, await ask(question))
            self._changed.set()

    async def until(self, share: float) -> None:
        """Wait until this share of the questions has ended."""
        while self.tally.sent < share * len(self._questions):
            self._changed.clear()
            await self._changed.wait()
