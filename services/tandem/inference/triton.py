"""The adapter for models with the signature of the Triton vLLM backend."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from tandem.call import Call
from tandem.errors import BackendUnavailable
from tandem.inference.engine import Piece, Prompt
from tandem.inference.receipts import Receipts
from tandem.inference.streams import StreamPool
from tandem.inference.tensors import Decoder, encode
from tandem.inference.tracing import TRITON, TritonCall
from tandem.serving.context import TRACEPARENT
from tandem.serving.lasting_channel import LastingChannel
from tandem.telemetry.tracing import Tracing
from tandem.v1 import types_pb2


class TritonEngine:
    """`tandem.inference.engine.Engine` on a Triton server, or on several."""

    def __init__(self, channel: LastingChannel, tracing: Tracing | None = None) -> None:
        self._tracing = tracing
        self._pool = StreamPool(channel)
        self._receipts = Receipts(channel, self._pool)

    async def generate(self, prompt: Prompt, stream: bool, call: Call) -> AsyncGenerator[Piece, None]:
        """Yield what the model makes: one piece if `stream` is False.

        Raises:
            TandemError: what `tandem.inference.failures` reads from Triton's message, or BackendUnavailable.
        """
        request = encode(prompt, stream)
        request.id = _name(call, prompt.attempt)
        trace = call.trace if self._tracing else None
        context = trace.traceparent(TRITON) if trace else call.traceparent
        if context:
            # Streams are warm: their metadata was sent long ago. Triton hands the parameters of a request to its model.
            request.parameters[TRACEPARENT].string_param = context
        decoder = Decoder(prompt.model)
        try:
            with (
                TritonCall(self._tracing, trace, prompt.model) as spoken,
                self._pool.exchange() as exchange,
            ):
                await exchange.send(request)
                while not exchange.finished:
                    piece, exchange.finished = decoder.decode(await exchange.receive())
                    if piece is not None:
                        spoken.heard()
                        yield piece
        except BackendUnavailable:
            self._receipts.forget(prompt.model)
            raise

    async def receipt(self, model: str, attempt: int, call: Call) -> types_pb2.Usage | None:
        """Return what the model counted for an attempt; None if it keeps no receipts or does not know it.

        Waits while Triton is away, longer than the call.
        """
        return await self._receipts.find(model, _name(call, attempt))

    def close(self) -> None:
        """Close the idle streams."""
        self._pool.close()


def _name(call: Call, attempt: int) -> str:
    """Return how Triton and its models call an attempt."""
    return f"{call.request_id}/{attempt}"
