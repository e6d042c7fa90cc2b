"""`InferenceService` over gRPC: translation only."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final

import grpc.aio

from tandem.protocols import Inference
from tandem.serving.coalesce import Coalescer, held_back
from tandem.serving.context import current_call
from tandem.v1 import inference_pb2, inference_pb2_grpc

SERVICE_NAME = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name

HOLD_SECONDS: Final = 0.25
"""How long a piece may be held back of a stream along which nobody reads."""

Context = grpc.aio.ServicerContext[Any, Any]
Piece = inference_pb2.StreamInferResponse


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """Serves one tier's inference.

    Args:
        inference: what it serves.
        sharers: says how many processes call it now; 0: nobody knows.
    """

    def __init__(self, inference: Inference, sharers: Callable[[], int] = lambda: 0) -> None:
        self._inference = inference
        self._sharers = sharers
        self._coalescer = Coalescer(merge)

    async def Infer(
        self, request: inference_pb2.InferRequest, context: Context
    ) -> inference_pb2.InferResponse:
        """Answer in one message."""
        return await self._inference.infer(request, current_call())

    async def StreamInfer(
        self, request: inference_pb2.StreamInferRequest, context: Context
    ) -> AsyncGenerator[Piece, None]:
        """Answer piece by piece."""
        source = self._inference.stream_infer(request.request, current_call(), buffered=request.buffered)
        merged = (
            held_back(source, merge, HOLD_SECONDS) if request.buffered else self._coalescer.stream(source)
        )
        async with aclosing(merged) as pieces:
            async for piece in pieces:
                yield piece

    async def SettleUsage(
        self, request: inference_pb2.SettleUsageRequest, context: Context
    ) -> inference_pb2.SettleUsageResponse:
        """Tell what an attempt took after all."""
        return await self._inference.settle_usage(request, current_call())

    async def GetCapabilities(
        self, request: inference_pb2.GetCapabilitiesRequest, context: Context
    ) -> inference_pb2.GetCapabilitiesResponse:
        """Tell the variants and which of them are ready, and who shares them."""
        capabilities = await self._inference.get_capabilities(current_call())
        capabilities.sharers = self._sharers()
        return capabilities


def merge(earlier: Piece, later: Piece) -> bool:
    """Append the later piece to the earlier one; reasoning comes before text, so it cannot be added after text."""
    if earlier.text and later.reasoning:
        return False
    earlier.text += later.text
    earlier.reasoning += later.reasoning
    earlier.output_tokens += later.output_tokens
    earlier.input_tokens = max(earlier.input_tokens, later.input_tokens)
    if later.HasField("finished"):
        earlier.finished.CopyFrom(later.finished)
    return True
