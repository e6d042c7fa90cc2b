"""Closes the books of requests that have ended: every token of every attempt, also of those that were cut off.

An attempt that was cut off has made more tokens than arrived. Its engine is asked how many, in the background: nobody
waits for it. Only then is the request charged to its tenant and written to the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from tandem.call import Call
from tandem.clock import now
from tandem.errors import BackendUnavailable, Draining, TandemError
from tandem.ledger.entry import Entry, Ledger
from tandem.orchestrator.budgets import Budgets
from tandem.orchestrator.course import Slot
from tandem.orchestrator.ended import Ended, Observer
from tandem.orchestrator.record import add_up, price
from tandem.protocols import Inference
from tandem.v1 import inference_pb2, types_pb2

SETTLE_SECONDS: Final = 120.0
"""How long an engine's own count is waited for: an engine that died has to come back first."""
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 2.0
"""Between two questions to a service that is away; doubled from the first to this."""
DRAIN_SECONDS: Final = 5.0
"""How long the last of them are waited for when the service stops."""
REPLICAS_ASKED: Final = 4
"""How many replicas of an inference service, one after the other, are asked for an attempt that none knows of."""
AT_ONCE: Final = 64
"""Most engines that are asked at a time."""


class Bookkeeper:
    """Keeps the books of one orchestrator.

    Args:
        tiers: whom an attempt's engine is asked through.
        ledger: where entries go.
        budgets: what is charged.
        keep_prompts: whether the ledger gets conversations too.
    """

    def __init__(
        self,
        tiers: Mapping[str, Inference],
        ledger: Ledger,
        budgets: Budgets,
        *,
        keep_prompts: bool = False,
    ) -> None:
        self._tiers = tiers
        self._ledger = ledger
        self._budgets = budgets
        self._keep_prompts = keep_prompts
        self._observers: list[Observer] = []
        self._settling: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)

    def watch(self, observer: Observer) -> None:
        """Tell `observer` too of the requests that end."""
        self._observers.append(observer)

    def close(self, ended: Ended) -> None:
        """Close the books of a request; never waits and never fails."""
        for observer in self._observers:
            observer.ended(ended)
        if all(attempt.usage_settled for attempt in ended.answer.attempts[:]):
            self._write(ended)
            return
        task = asyncio.create_task(self._settle(ended))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def drain(self) -> None:
        """Wait for what is still being settled; what does not come in time is written as it arrived."""
        if self._settling:
            await asyncio.wait(self._settling, timeout=DRAIN_SECONDS)
        for task in list(self._settling):
            task.cancel()
        await asyncio.gather(*self._settling, return_exceptions=True)

    async def _settle(self, ended: Ended) -> None:
        answer = types_pb2.Answer()
        answer.CopyFrom(ended.answer)
        try:
            async with self._turns:
                await asyncio.gather(
                    *(
                        self._settle_attempt(attempt, ended)
                        for attempt in answer.attempts
                        if not attempt.usage_settled
                    )
                )
        finally:
            add_up(answer)
            self._write(ended._replace(answer=answer))

    async def _settle_attempt(self, attempt: types_pb2.Attempt, ended: Ended) -> None:
        request = inference_pb2.SettleUsageRequest(
            variant=attempt.target.variant, attempt=ended.course.engine_number(attempt.index)
        )
        asked = now()
        # The request's own deadline has nothing to do with it, and may be over.
        patient = ended.call._replace(deadline=asked + SETTLE_SECONDS, started=asked).until(
            asked + SETTLE_SECONDS, Slot.RECORD
        )
        with suppress(TandemError):
            response = await self._ask(attempt.target.tier, request, patient)
            for _ in range(1, REPLICAS_ASKED):
                if response.settled or response.usage.ByteSize():
                    break
                response = await self._ask(attempt.target.tier, request, patient)
            attempt.usage.input_tokens = max(attempt.usage.input_tokens, response.usage.input_tokens)
            attempt.usage.output_tokens = max(attempt.usage.output_tokens, response.usage.output_tokens)
            attempt.usage_settled = response.settled
            price(attempt, ended.catalogue)

    async def _ask(
        self, tier: str, request: inference_pb2.SettleUsageRequest, patient: Call
    ) -> inference_pb2.SettleUsageResponse:
        """Ask until the service answers: it may be away for as long as it takes to start it again.

        Raises:
            TandemError: it does not answer in time, or does not know what is asked for.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return await self._tiers[tier].settle_usage(request, patient)
            except (BackendUnavailable, Draining):
                if patient.remaining() < pause:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _write(self, ended: Ended) -> None:
        answer, call = ended.answer, ended.call
        for observer in self._observers:
            observer.settled(ended)
        self._budgets.charge(ended.verdict, answer.usage, answer.cost_nano_usd)
        self._ledger.write(
            Entry(
                answer=answer,
                tenant=call.tenant,
                started_at=datetime.now(UTC) - timedelta(seconds=now() - call.started),
                deadline_ms=(call.deadline - call.started) * 1000.0,
                method=ended.method,
                reason=ended.reason,
                trace_id=call.trace_id,
                messages=ended.messages if self._keep_prompts else (),
            )
        )
