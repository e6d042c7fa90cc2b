"""A tier that does what a script says; satisfies `tandem.protocols.Inference`."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from typing import Final, TypeAlias

from tandem.call import Call
from tandem.errors import DeadlineExceeded
from tandem.v1 import inference_pb2, types_pb2

Piece = inference_pb2.StreamInferResponse


INPUT_TOKENS: Final = 5
"""What every prompt takes."""


class Hang(enum.Enum):
    """Nothing more comes."""

    HANG = enum.auto()


HANG = Hang.HANG
Step: TypeAlias = Piece | BaseException | asyncio.Event | Hang
"""Answer a piece, raise, or wait; a wait ends in DeadlineExceeded at the deadline of the call."""


def text(content: str, tokens: int = 1) -> Piece:
    """Return a piece of text."""
    return Piece(text=content, output_tokens=tokens)


def thought(content: str, tokens: int = 1) -> Piece:
    """Return a piece of reasoning."""
    return Piece(reasoning=content, output_tokens=tokens)


def finished(
    output_tokens: int,
    *,
    input_tokens: int = INPUT_TOKENS,
    reason: types_pb2.FinishReason.ValueType = types_pb2.FINISH_REASON_STOP,
    confidence: float | None = None,
) -> Piece:
    """Return the last piece."""
    usage = types_pb2.Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    return Piece(
        finished=inference_pb2.InferFinished(finish_reason=reason, usage=usage, confidence=confidence)
    )


def saying(*words: str, confidence: float | None = None) -> list[Step]:
    """Return the script of an answer of one token per word."""
    return [*(text(word) for word in words), finished(len(words), confidence=confidence)]


class ScriptedInference:
    """Plays one script per request, in order; the last one again and again."""

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self._scripts = deque(scripts)
        self.requests: list[inference_pb2.InferRequest] = []
        self.calls: list[Call] = []
        self.token_seconds = 0.001
        """What every piece takes."""
        self.made: Counter[tuple[str, int]] = Counter()
        """Tokens by request and attempt."""
        self.running = 0
        self.most_running = 0
        self.started = asyncio.Event()
        """Set when a request has come."""
        self.stopped = asyncio.Event()
        """Set when a request ended, in any way."""
        self.ready = True
        self.failure: Exception | None = None
        """What asking for capabilities raises."""
        self.buffered: list[bool] = []
        """Whether each stream was asked for as one along which nobody reads."""
        self.settlements: list[inference_pb2.SettleUsageRequest] = []
        self.settle_failure: Exception | None = None
        """What settling raises."""

    async def infer(self, request: inference_pb2.InferRequest, call: Call) -> inference_pb2.InferResponse:
        """Answer in one message."""
        response = inference_pb2.InferResponse()
        async with contextlib.aclosing(self.stream_infer(request, call)) as pieces:
            async for piece in pieces:
                response.text += piece.text
                response.reasoning += piece.reasoning
                response.finished.MergeFrom(piece.finished)
        return response

    async def stream_infer(
        self, request: inference_pb2.InferRequest, call: Call, *, buffered: bool = False
    ) -> AsyncGenerator[Piece, None]:
        """Answer piece by piece."""
        self.buffered.append(buffered)
        self.requests.append(inference_pb2.InferRequest.FromString(request.SerializeToString()))
        self.calls.append(call)
        script = self._scripts.popleft() if len(self._scripts) > 1 else self._scripts[0]
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.started.set()
        try:
            for step in script:
                if isinstance(step, Piece):
                    self.made[call.request_id, request.attempt] += step.output_tokens
                    await asyncio.sleep(self.token_seconds)
                    yield Piece.FromString(step.SerializeToString())
                elif isinstance(step, BaseException):
                    raise step
                else:
                    await self._wait(asyncio.Event() if step is HANG else step, call)
        finally:
            self.running -= 1
            self.stopped.set()

    async def settle_usage(
        self, request: inference_pb2.SettleUsageRequest, call: Call
    ) -> inference_pb2.SettleUsageResponse:
        """Tell what was made, for 5 tokens of prompt."""
        self.settlements.append(inference_pb2.SettleUsageRequest.FromString(request.SerializeToString()))
        if self.settle_failure is not None:
            raise self.settle_failure
        made = self.made[call.request_id, request.attempt]
        return inference_pb2.SettleUsageResponse(
            usage=types_pb2.Usage(input_tokens=INPUT_TOKENS, output_tokens=made), settled=True
        )

    async def get_capabilities(self, call: Call) -> inference_pb2.GetCapabilitiesResponse:
        """Tell one variant."""
        if self.failure is not None:
            raise self.failure
        return inference_pb2.GetCapabilitiesResponse(
            tier="r1",
            variants=[
                inference_pb2.Capability(
                    variant="fp16", model="r1", ready=self.ready, problem="" if self.ready else "is away"
                )
            ],
        )

    async def _wait(self, event: asyncio.Event, call: Call) -> None:
        try:
            async with asyncio.timeout_at(call.deadline):
                await event.wait()
        except TimeoutError:
            raise DeadlineExceeded("the script waited until the deadline") from None
