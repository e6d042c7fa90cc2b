"""An orchestrator service that offers nothing, to be overridden where a test needs something."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc.aio

from tandem.v1 import orchestrator_pb2, orchestrator_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class BareServicer(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    """Has every rpc; each is a defect."""

    async def Generate(
        self, request: orchestrator_pb2.GenerateRequest, context: Context
    ) -> orchestrator_pb2.GenerateResponse:
        """Fail."""
        raise NotImplementedError

    async def StreamGenerate(
        self, request: orchestrator_pb2.StreamGenerateRequest, context: Context
    ) -> AsyncGenerator[orchestrator_pb2.StreamGenerateResponse, None]:
        """Fail."""
        raise NotImplementedError
        yield

    async def BatchGenerate(
        self, request_iterator: AsyncIterator[orchestrator_pb2.BatchGenerateRequest], context: Context
    ) -> AsyncGenerator[orchestrator_pb2.BatchGenerateResponse, None]:
        """Fail."""
        raise NotImplementedError
        yield

    async def Explain(
        self, request: orchestrator_pb2.ExplainRequest, context: Context
    ) -> orchestrator_pb2.ExplainResponse:
        """Fail."""
        raise NotImplementedError

    async def ForgetAnswer(
        self, request: orchestrator_pb2.ForgetAnswerRequest, context: Context
    ) -> orchestrator_pb2.ForgetAnswerResponse:
        """Fail."""
        raise NotImplementedError
