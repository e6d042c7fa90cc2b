"""Asks Triton's models what they counted for a request; docs/engine.md describes their books."""

from __future__ import annotations

import asyncio
from typing import Final

import grpc.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tandem.errors import BackendUnavailable, TandemError
from tandem.inference.streams import StreamPool
from tandem.inference.tensors import Decoder, encode_question
from tandem.v1 import types_pb2

PARAMETER: Final = "tandem_receipts"
"""Parameter in the configuration of a model that keeps receipts. Any other model takes a question for a prompt."""
NO_RECEIPT: Final = "no receipt"
"""How a model's answer begins that does not know the request."""
UNKNOWN_TIMES: Final = 6
"""A request counts as unknown when it is so often: it may still be on its way on another stream, and where there are
several Tritons each question after the first goes to the next one of them."""
RETRY_SECONDS: Final = 0.1
"""Pause before a model is asked again."""


class Receipts:
    """Receipts of all models of a Triton."""

    def __init__(self, channel: grpc.aio.Channel, pool: StreamPool) -> None:
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._pool = pool
        self._kept: dict[str, bool] = {}

    def forget(self, model: str) -> None:
        """Note that a model was away: what comes back may be another one."""
        self._kept.pop(model, None)

    async def find(self, model: str, request: str) -> types_pb2.Usage | None:
        """Return what a model counted for a request; None if it keeps no receipts or does not know the request.

        Asks again, for ever, while Triton is away or the request still runs.
        """
        unknown = 0
        while unknown < UNKNOWN_TIMES:
            try:
                if not await self._keeps(model):
                    return None
                usage = await self._ask(model, request, elsewhere=unknown > 0)
            except TandemError:
                self.forget(model)
            else:
                if usage is not None:
                    return usage
                unknown += 1
            await asyncio.sleep(RETRY_SECONDS)
        return None

    async def _keeps(self, model: str) -> bool:
        if model not in self._kept:
            try:
                answer = await self._stub.ModelConfig(service_pb2.ModelConfigRequest(name=model))
            except grpc.aio.AioRpcError as error:
                raise BackendUnavailable(f"Triton does not tell the configuration of {model}") from error
            self._kept[model] = answer.config.parameters[PARAMETER].string_value == "1"
        return self._kept[model]

    async def _ask(self, model: str, request: str, *, elsewhere: bool) -> types_pb2.Usage | None:
        """Return a model's answer, from another Triton than before if that is wanted; None: it does not know of it."""
        decoder, usage = Decoder(model), types_pb2.Usage()
        with self._pool.exchange(fresh=elsewhere) as exchange:
            await exchange.send(encode_question(model, request))
            while not exchange.finished:
                message = await exchange.receive()
                if message.error_message.startswith(NO_RECEIPT):
                    return None
                piece, exchange.finished = decoder.decode(message)
                if piece is not None:
                    usage = types_pb2.Usage(
                        input_tokens=piece.input_tokens, output_tokens=piece.output_tokens
                    )
        return usage
