"""Calls the same models through Tandem's gRPC API."""

from __future__ import annotations

import grpc.aio

from question import Ask, OnTokens, Question, count_tokens
from tandem.v1 import orchestrator_pb2, orchestrator_pb2_grpc, types_pb2


class ThroughTandem:
    """A client of an orchestrator; it sends requests that were made beforehand, as the direct one does."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)

    async def plan(self, question: Question) -> types_pb2.Plan:
        """Return how Tandem would answer."""
        request = orchestrator_pb2.ExplainRequest(request=request_of(question))
        return (await self._stub.Explain(request)).plan

    def asker(self, question: Question) -> Ask:
        """Return what asks `question`."""
        return self._stream(question) if question.stream else self._unary(question)

    def _unary(self, question: Question) -> Ask:
        request = request_of(question)

        async def ask(on_tokens: OnTokens) -> None:
            response = await self._stub.Generate(request)
            tokens = count_tokens(response.answer.text, first=True)
            on_tokens(tokens)
            question.check(tokens)

        return ask

    def _stream(self, question: Question) -> Ask:
        request = orchestrator_pb2.StreamGenerateRequest(request=request_of(question))

        async def ask(on_tokens: OnTokens) -> None:
            total = 0
            async for event in self._stub.StreamGenerate(request):
                if event.WhichOneof("event") == "text":
                    tokens = count_tokens(event.text.delta, first=not total)
                    total += tokens
                    on_tokens(tokens)
            question.check(total)

        return ask


def request_of(question: Question) -> orchestrator_pb2.GenerateRequest:
    """Return the request for a question; no answer comes from the cache."""
    user = types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text=question.text())])
    return orchestrator_pb2.GenerateRequest(messages=[user], no_cache=True)
