"""The client's side of a batch: what was asked and has not been answered yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable

from tandem.v1 import orchestrator_pb2

Request = orchestrator_pb2.GenerateRequest
Item = orchestrator_pb2.BatchGenerateRequest


class Waiting:
    """The items of a batch that wait for their results.

    Only those that were sent are held, and flow control bounds how many that are.
    """

    def __init__(self, requests: AsyncIterator[Request] | Iterable[Request]) -> None:
        self._source = requests if isinstance(requests, AsyncIterator) else _slowly(requests)
        self._sent: dict[int, Item] = {}
        self._next = 0
        self._reading: asyncio.Task[Request | None] | None = None
        self.failure: Exception | None = None
        """What the source of the requests raised."""

    async def items(self) -> AsyncGenerator[Item, None]:
        """Yield what was sent before and not answered, then what is new."""
        for item in list(self._sent.values()):
            yield item
        while (request := await self._read()) is not None:
            item = Item(index=self._next, request=request)
            self._sent[self._next] = item
            self._next += 1
            yield item

    def delivered(self, index: int) -> bool:
        """Note that a result came; return False if it came before."""
        return self._sent.pop(index, None) is not None

    def close(self) -> None:
        """Read no further."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> Request | None:
        """Return the next request. A call that breaks off meanwhile must not break off the source."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_source())
        try:
            request = await asyncio.shield(self._reading)
        except Exception as error:
            self.failure = error
            raise
        self._reading = None
        return request

    async def _read_source(self) -> Request | None:
        return await anext(self._source, None)


async def _slowly(requests: Iterable[Request]) -> AsyncGenerator[Request, None]:
    for request in requests:
        yield request
