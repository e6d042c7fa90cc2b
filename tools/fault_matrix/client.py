"""Asks a question over gRPC with a real deadline, and notes what came."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from fault_matrix.outcome import End, Outcome, Seam
from fault_matrix.question import Patience, Question
from tandem.errors import DOMAIN
from tandem.serving.status import DETAILS_KEY
from tandem.v1 import orchestrator_pb2, orchestrator_pb2_grpc, types_pb2

Event = orchestrator_pb2.StreamGenerateResponse
LEAVE_SECONDS: Final = 0.06
"""When a client leaves that waits for an answer in one piece."""
GREEDY: Final = types_pb2.Sampling(temperature=0.2)
"""Cool enough to be kept in the cache."""
ENDLESS: Final = types_pb2.Sampling(max_tokens=20_000)


class AskingClient:
    """Asks one orchestrator."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)

    async def ask(self, question: Question) -> Outcome:
        """Ask and return what came; nothing that the server does makes it raise."""
        outcome, began = Outcome(), time.monotonic()
        try:
            if question.stream:
                await self._stream(question, outcome)
            else:
                await self._once(question, outcome)
        except grpc.aio.AioRpcError as error:
            outcome.end, outcome.words = _end_of(error)
        outcome.seconds = time.monotonic() - began
        return outcome

    async def _once(self, question: Question, outcome: Outcome) -> None:
        call = self._stub.Generate(_request(question), timeout=question.deadline_seconds)
        if question.patience is Patience.LEAVES:
            await asyncio.wait([asyncio.ensure_future(_quiet(call))], timeout=LEAVE_SECONDS)
            if call.cancel():
                outcome.end = End.LEFT
                return
        answer = (await call).answer
        outcome.text = answer.text
        _note_answer(answer, outcome)

    async def _stream(self, question: Question, outcome: Outcome) -> None:
        request = orchestrator_pb2.StreamGenerateRequest(request=_request(question))
        call = self._stub.StreamGenerate(request, timeout=question.deadline_seconds)
        if question.patience is Patience.NEVER_READS:
            # It holds on to the call until its deadline, and no byte is read beyond what gRPC itself takes in.
            await call.code()
            outcome.end = End.LEFT
            return
        async for event in call:
            _note_event(event, outcome)
            if question.patience is Patience.LEAVES and outcome.text:
                call.cancel()
                outcome.end = End.LEFT
                return


async def _quiet(call: Any) -> None:
    await asyncio.gather(call, return_exceptions=True)


def _request(question: Question) -> orchestrator_pb2.GenerateRequest:
    user = types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text=question.prompt)])
    sampling = GREEDY if question.cached else None
    return orchestrator_pb2.GenerateRequest(
        messages=[user],
        tier=question.tier,
        strategy=question.strategy,
        no_cache=not question.cached,
        sampling=ENDLESS if question.patience is Patience.NEVER_READS else sampling,
    )


def _note_event(event: Event, outcome: Outcome) -> None:
    match event.WhichOneof("event"):
        case "text":
            outcome.text += event.text.delta
        case "revision":
            outcome.text = event.revision.text
        case "seam":
            outcome.seams.append(Seam(event.seam.byte_offset, len(outcome.text.encode())))
        case "finished":
            _note_answer(event.finished.answer, outcome)


def _note_answer(answer: types_pb2.Answer, outcome: Outcome) -> None:
    outcome.end = End.ANSWERED
    outcome.finish_reason = answer.finish_reason
    outcome.degraded = bool(answer.degradations)


def _end_of(error: grpc.aio.AioRpcError) -> tuple[End, str]:
    """Return what kind of end an error is, and its words."""
    info = error_info(error)
    if info is not None:
        return End.ERROR, f"{info.reason}: {error.details()}"
    own = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    return (End.OWN_DEADLINE if own else End.LOST), f"{error.code().name}: {error.details()}"


def error_info(error: grpc.aio.AioRpcError) -> ErrorInfo | None:
    """Return Tandem's ErrorInfo of an error; None if it has none."""
    for key, value in error.trailing_metadata() or ():
        if key != DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            details = Status.FromString(value).details
        except DecodeError:
            return None
        info = ErrorInfo()
        if any(detail.Unpack(info) for detail in details) and info.domain == DOMAIN and info.reason:
            return info
    return None
