"""Another program on the same card, which takes its memory and gives it back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROGRAM: Final = Path(__file__).with_name("take_memory.py")
ANSWER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the card, in bytes."""

    held: int
    """What the neighbour has."""
    free: int
    """What nobody has."""
    total: int


class Neighbour:
    """The other program; `neighbour_on` starts it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def take(self) -> Memory:
        """Take all memory that is free, and from now on whatever becomes free."""
        return await self._tell("take")

    async def free(self) -> Memory:
        """Give all of it back."""
        return await self._tell("free")

    async def look(self) -> Memory:
        """Only say how the memory is used."""
        return await self._tell("look")

    async def _tell(self, command: str) -> Memory:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n".encode())
        line = await asyncio.wait_for(self._process.stdout.readline(), ANSWER_SECONDS)
        return Memory(**json.loads(line))


@contextlib.asynccontextmanager
async def neighbour_on(python: Path) -> AsyncIterator[Neighbour]:
    """Run the other program while the context is open; it holds nothing at first."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(python, PROGRAM, stdin=pipe, stdout=pipe)
    try:
        neighbour = Neighbour(process)
        await neighbour.look()
        yield neighbour
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
