"""The adapter for models with the signature of the Triton vLLM backend."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import grpc.aio

from tandem.call import Call
from tandem.inference.engine import Piece, Prompt
from tandem.inference.streams import StreamPool
from tandem.inference.tensors import Decoder, encode


class TritonEngine:
    """`tandem.inference.engine.Engine` on a Triton server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._pool = StreamPool(channel)

    async def generate(self, prompt: Prompt, stream: bool, call: Call) -> AsyncGenerator[Piece, None]:
        """Yield what the model makes: one piece if `stream` is False.

        Raises:
            TandemError: what `tandem.inference.failures` reads from Triton's message, or BackendUnavailable.
        """
        request = encode(prompt, stream)
        request.id = call.request_id
        decoder = Decoder(prompt.model)
        async with self._pool.exchange() as exchange:
            await exchange.send(request)
            while not exchange.finished:
                piece, exchange.finished = decoder.decode(await exchange.receive())
                if piece is not None:
                    yield piece

    def close(self) -> None:
        """Close the idle streams."""
        self._pool.close()
