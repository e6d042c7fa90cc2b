"""`OrchestratorService` over gRPC: translation only."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc.aio

from tandem.orchestrator.answer import Orchestrator
from tandem.orchestrator.batch import Batch
from tandem.serving.coalesce import Coalescer
from tandem.serving.context import current_call
from tandem.serving.envelope import Envelope
from tandem.serving.validation import validate
from tandem.v1 import orchestrator_pb2, orchestrator_pb2_grpc

_ANSWER = orchestrator_pb2.GenerateResponse.DESCRIPTOR.fields_by_name["answer"].number
SERVICE_NAME = orchestrator_pb2.DESCRIPTOR.services_by_name["OrchestratorService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]
Event = orchestrator_pb2.StreamGenerateResponse


class OrchestratorServicer(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    """Serves an `Orchestrator`."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._coalescer = Coalescer(merge)

    async def Generate(  # type: ignore[override]  # an envelope is written as the message that it stands for
        self, request: orchestrator_pb2.GenerateRequest, context: Context
    ) -> Envelope:
        """Answer in one message."""
        return Envelope(_ANSWER, await self._orchestrator.generate(request, current_call()))

    async def StreamGenerate(
        self, request: orchestrator_pb2.StreamGenerateRequest, context: Context
    ) -> AsyncGenerator[Event, None]:
        """Answer as typed events."""
        source = self._orchestrator.stream_generate(request.request, current_call())
        async with aclosing(self._coalescer.stream(source)) as events:
            async for event in events:
                yield event

    async def BatchGenerate(
        self, request_iterator: AsyncIterator[orchestrator_pb2.BatchGenerateRequest], context: Context
    ) -> AsyncGenerator[orchestrator_pb2.BatchGenerateResponse, None]:
        """Answer many requests; results come as they finish."""
        async with aclosing(
            Batch(self._orchestrator, validate).run(request_iterator, current_call())
        ) as results:
            async for result in results:
                yield result

    async def Explain(
        self, request: orchestrator_pb2.ExplainRequest, context: Context
    ) -> orchestrator_pb2.ExplainResponse:
        """Tell the plan without running it."""
        return await self._orchestrator.explain(request.request, current_call())

    async def ForgetAnswer(
        self, request: orchestrator_pb2.ForgetAnswerRequest, context: Context
    ) -> orchestrator_pb2.ForgetAnswerResponse:
        """Remove an answer from the cache."""
        return orchestrator_pb2.ForgetAnswerResponse(
            forgotten=await self._orchestrator.forget(request.request_id, current_call())
        )


def merge(earlier: Event, later: Event) -> bool:
    """Append the later delta to the earlier one if both carry the same kind of text."""
    kind = earlier.WhichOneof("event")
    if kind == "text" and later.HasField("text"):
        earlier.text.delta += later.text.delta
        return True
    if kind == "reasoning" and later.HasField("reasoning"):
        earlier.reasoning.delta += later.reasoning.delta
        return True
    return False
