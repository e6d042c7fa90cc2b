"""Many requests in one call: bounded work in flight, results as they finish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

from tandem.call import Call
from tandem.errors import Details, InternalError, InvalidRequest, TandemError, Violation
from tandem.orchestrator.answer import Orchestrator
from tandem.telemetry.logs import logger
from tandem.v1 import orchestrator_pb2

IN_FLIGHT: Final = 32
"""Most items of one call that are worked on at a time; no more are read before one of them is delivered."""

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
        self._free = asyncio.Semaphore(IN_FLIGHT)

    async def run(self, items: AsyncIterator[Item], call: Call) -> AsyncGenerator[ItemResult, None]:
        """Yield a result for every item.

        Raises:
            InvalidRequest: an index is used twice.
        """
        reader = asyncio.create_task(self._read(items, call))
        try:
            while (result := await self._done.get()) is not None:
                yield result
                self._free.release()
            await reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self, items: AsyncIterator[Item], call: Call) -> None:
        """Start an item whenever there is room; the queue's None says that no more results come."""
        seen: set[int] = set()
        try:
            async with asyncio.TaskGroup() as group:
                async for item in items:
                    if item.index in seen:
                        raise _repeated(item.index)
                    seen.add(item.index)
                    await self._free.acquire()
                    group.create_task(self._answer(item, call))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        finally:
            self._done.put_nowait(None)

    async def _answer(self, item: Item, call: Call) -> None:
        result = ItemResult(index=item.index)
        try:
            self._validate(item)
            result.answer.CopyFrom(await self._orchestrator.generate(item.request, call))
        except TandemError as error:
            result.error.CopyFrom(_item_error(error))
        except Exception:  # noqa: BLE001 - a defect, too, fails its item alone
            _log.exception("defect", request_id=call.request_id, index=item.index)
            defect = InternalError("an unexpected error; the service's log has it under this request_id")
            result.error.CopyFrom(_item_error(defect))
        self._done.put_nowait(result)


def _item_error(error: TandemError) -> orchestrator_pb2.ItemError:
    return orchestrator_pb2.ItemError(code=int(error.code), reason=error.reason, message=error.message)


def _repeated(index: int) -> InvalidRequest:
    return InvalidRequest(
        f"index {index} is used twice in this call; give every item its own",
        Details((Violation("index", f"{index} is used twice in this call"),)),
    )
