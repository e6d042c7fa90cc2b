"""`FusionService` over gRPC: translation only."""

from __future__ import annotations

from typing import Any

import grpc.aio

from tandem.protocols import Fusion
from tandem.serving.context import current_call
from tandem.v1 import fusion_pb2, fusion_pb2_grpc

SERVICE_NAME = fusion_pb2.DESCRIPTOR.services_by_name["FusionService"].full_name


class FusionServicer(fusion_pb2_grpc.FusionServiceServicer):
    """Serves fusion."""

    def __init__(self, fusion: Fusion) -> None:
        self._fusion = fusion

    async def Fuse(
        self, request: fusion_pb2.FuseRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> fusion_pb2.FuseResponse:
        """Choose by weighted vote."""
        return await self._fusion.fuse(request, current_call())
