"""Many requests in one call: simple and complex ones side by side, bounded work in flight, results as they finish.

Each item is planned like any request. How many run at a time is what its tier bears: places are given by deadline, so a
batch with a late deadline leaves them to those who are in a hurry. Items are read far enough ahead that neither tier
waits for the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

from tandem.call import Call
from tandem.errors import Cancelled, Details, InternalError, InvalidRequest, TandemError, Violation
from tandem.orchestrator.answer import Orchestrator
from tandem.telemetry.logs import logger
from tandem.telemetry.request_line import tell_of_request
from tandem.v1 import orchestrator_pb2

IN_FLIGHT: Final = 256
"""Most items of one call that are under way; no more are read before one of them is delivered."""
IN_FLIGHT_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of requests that are under way; a single larger one goes alone."""
MOST_CHARACTERS: Final = 64
"""Of a request's identifier."""
MOST_ITEMS: Final = 100_000
"""Items of one call: what has been seen is remembered to the end of it."""

METHOD: Final = "BatchGenerate"
RPC: Final = f"/tandem.v1.OrchestratorService/{METHOD}"

_log = logger("batch")

Item = orchestrator_pb2.BatchGenerateRequest
ItemResult = orchestrator_pb2.BatchGenerateResponse


class Batch:
    """The items of one `BatchGenerate` call.

    Args:
        orchestrator: answers each item.
        validate: raises InvalidRequest for an item that breaks the contract.
    """

    def __init__(self, orchestrator: Orchestrator, validate: Callable[[Item], None]) -> None:
        self._orchestrator = orchestrator
        self._validate = validate
        self._done: asyncio.Queue[ItemResult | None] = asyncio.Queue()
        self._room = _Room()
        self._seen: dict[int, int] = {}

    async def run(self, items: AsyncIterator[Item], call: Call) -> AsyncGenerator[ItemResult, None]:
        """Yield a result for every item.

        An item that is sent again is answered once.

        Raises:
            InvalidRequest: an index is used for two questions, or there are too many items.
        """
        reader = asyncio.create_task(self._read(items, call))
        try:
            while (result := await self._done.get()) is not None:
                yield result
                await self._room.give_back(result.index)
            await reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self, items: AsyncIterator[Item], call: Call) -> None:
        """Start an item whenever there is room; the queue's None says that no more results come."""
        try:
            async with asyncio.TaskGroup() as group:
                async for item in items:
                    if self._is_new(item):
                        await self._room.take(item)
                        group.create_task(self._answer(item, call))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        finally:
            self._done.put_nowait(None)

    def _is_new(self, item: Item) -> bool:
        content = hash(item.request.SerializeToString(deterministic=True))
        known = self._seen.get(item.index)
        if known is None and len(self._seen) == MOST_ITEMS:
            raise _invalid(f"there are more than {MOST_ITEMS:,} items; send the rest in a further call")
        if known not in (None, content):
            raise _invalid(f"index {item.index} is used for two questions; give every item its own")
        self._seen[item.index] = content
        return known is None

    async def _answer(self, item: Item, call: Call) -> None:
        result = ItemResult(index=item.index)
        call = call._replace(request_id=_name(call.request_id, item.index))
        failure: TandemError | None = Cancelled("the client went away")
        try:
            self._validate(item)
            if call.trace:
                trace = call.trace.branch()
                call = call._replace(trace=trace, traceparent=trace.traceparent())
            result.answer.CopyFrom(await self._orchestrator.generate(item.request, call, METHOD))
            failure = None
        except TandemError as error:
            failure = error
        except Exception:  # noqa: BLE001 - a defect, too, fails its item alone
            _log.exception("defect", request_id=call.request_id, index=item.index)
            failure = InternalError("an unexpected error; the service's log has it under this request_id")
        finally:
            tell_of_request(_log, RPC, call, failure)
        if failure is not None:
            result.error.CopyFrom(_item_error(failure))
        self._done.put_nowait(result)


def _name(request_id: str, index: int) -> str:
    """Return the identifier of one item's request: that of the call, shortened to what leaves room for the index."""
    suffix = f".{index}"
    return request_id[: MOST_CHARACTERS - len(suffix)] + suffix


def _item_error(error: TandemError) -> orchestrator_pb2.ItemError:
    return orchestrator_pb2.ItemError(code=int(error.code), reason=error.reason, message=error.message)


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, Details((Violation("index", message),)))


class _Room:
    """What may be under way at a time."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        self._freed = asyncio.Condition()

    async def take(self, item: Item) -> None:
        """Wait until there is room for an item."""
        size = item.ByteSize()
        async with self._freed:
            await self._freed.wait_for(lambda: not self._sizes or self._holds(size))
            self._sizes[item.index] = size
            self._bytes += size

    async def give_back(self, index: int) -> None:
        """Note that the result of an item was delivered."""
        async with self._freed:
            self._bytes -= self._sizes.pop(index)
            self._freed.notify()

    def _holds(self, size: int) -> bool:
        return len(self._sizes) < IN_FLIGHT and self._bytes + size <= IN_FLIGHT_BYTES
