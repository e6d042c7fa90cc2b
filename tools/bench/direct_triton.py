"""Calls Triton directly: the best client that can be written with grpc.aio and Triton's own protocol."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from question import Ask, IncompleteAnswer, OnTokens, Question, count_tokens
from tandem.catalogue import Catalogue
from tandem.inference.engine import Prompt
from tandem.inference.template import ChatTemplate
from tandem.inference.tensors import encode
from tandem.v1 import types_pb2

_LENGTH_BYTES = 4


class DirectTriton:
    """Keeps its streams warm, one request at a time in each, and sends requests that were made beforehand."""

    def __init__(self, channel: grpc.aio.Channel, catalogue: Catalogue) -> None:
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._catalogue = catalogue
        self._idle: list[grpc.aio.StreamStreamCall[Any, Any]] = []

    def asker(self, question: Question, plan: types_pb2.Plan) -> Ask:
        """Return what asks `question` with exactly the request that Tandem sends by `plan`."""
        request = self._request(question, plan)

        async def ask(on_tokens: OnTokens) -> None:
            async with self._stream() as stream:
                await stream.write(request)
                question.check(await _receive(stream, on_tokens))

        return ask

    def _request(self, question: Question, plan: types_pb2.Plan) -> service_pb2.ModelInferRequest:
        planned = plan.attempts[0]
        tier = self._catalogue.tier(planned.target.tier)
        template = ChatTemplate(self._catalogue.chat_templates[tier.chat_template])
        user = types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text=question.text())])
        planned.sampling.stop.extend(tier.stop)
        model = self._catalogue.variant(planned.target.tier, planned.target.variant).model
        request = encode(Prompt(model, template.render([user]), (), planned.sampling), question.stream)
        request.id = "0" * 32
        return request

    @contextlib.asynccontextmanager
    async def _stream(self) -> AsyncIterator[grpc.aio.StreamStreamCall[Any, Any]]:
        stream = self._idle.pop() if self._idle else self._stub.ModelStreamInfer()
        try:
            yield stream
        except BaseException:
            stream.cancel()
            raise
        self._idle.append(stream)


async def _receive(stream: grpc.aio.StreamStreamCall[Any, Any], on_tokens: OnTokens) -> int:
    """Read one answer and return its tokens."""
    total = 0
    while True:
        message: Any = await stream.read()
        if message is grpc.aio.EOF:
            raise IncompleteAnswer(f"Triton closed the stream: {await stream.details()}")
        if message.error_message:
            raise IncompleteAnswer(message.error_message)
        response = message.infer_response
        if response.outputs:
            tokens = count_tokens(_text(response), first=not total)
            total += tokens
            on_tokens(tokens)
        if response.parameters["triton_final_response"].bool_param:
            return total


def _text(response: service_pb2.ModelInferResponse) -> str:
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        if output.name == "text_output":
            return bytes(raw[_LENGTH_BYTES:]).decode()
    raise IncompleteAnswer("a response has no text_output")
