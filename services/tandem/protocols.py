"""What a service depends on instead of another service.

The in-process core and the gRPC client of a service both satisfy its protocol, so whoever holds one does not know
which it is. All methods raise `tandem.errors.TandemError`, and stop what they started when they are cancelled or their
iterator is closed. A classifier ends by `call.deadline`, as every gRPC client does; an inference core in this process
is ended by whoever calls it, as attempts are by their watchdog: a second timer would cost what a hop costs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from tandem.call import Call
from tandem.v1 import classifier_pb2, fusion_pb2, inference_pb2


class Classifier(Protocol):
    """Request → signals."""

    async def classify(
        self, request: classifier_pb2.ClassifyRequest, call: Call
    ) -> classifier_pb2.ClassifyResponse:
        """Find the signals of a conversation."""
        ...


class Inference(Protocol):
    """Prompt and variant → tokens."""

    async def infer(self, request: inference_pb2.InferRequest, call: Call) -> inference_pb2.InferResponse:
        """Answer in one message."""
        ...

    def stream_infer(
        self, request: inference_pb2.InferRequest, call: Call, *, buffered: bool = False
    ) -> AsyncGenerator[inference_pb2.StreamInferResponse, None]:
        """Answer piece by piece; the last message alone has `finished`.

        If it is `buffered`, nobody reads along, and pieces after the first may travel together.
        """
        ...

    async def settle_usage(
        self, request: inference_pb2.SettleUsageRequest, call: Call
    ) -> inference_pb2.SettleUsageResponse:
        """Tell what an attempt of the call's request took after all."""
        ...

    async def get_capabilities(self, call: Call) -> inference_pb2.GetCapabilitiesResponse:
        """Tell the variants and which of them are ready."""
        ...


class Fusion(Protocol):
    """Answers → one answer."""

    async def fuse(self, request: fusion_pb2.FuseRequest, call: Call) -> fusion_pb2.FuseResponse:
        """Choose by weighted vote."""
        ...
