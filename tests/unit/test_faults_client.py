"""Would catch an end that the matrix takes for another: a typed error, an untyped one, the client's own deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc.aio
import pytest

from fault_matrix.client import AskingClient
from fault_matrix.outcome import End, Outcome, Seam
from fault_matrix.question import Patience, Question
from tandem.errors import Overloaded
from tandem.serving.status import abort
from tandem.v1 import orchestrator_pb2, orchestrator_pb2_grpc, types_pb2
from tests.fakes.servicer import BareServicer, Context

Event = orchestrator_pb2.StreamGenerateResponse
R1 = types_pb2.Target(tier="r1", variant="fp16")


def text(delta: str) -> Event:
    return Event(text=orchestrator_pb2.TextDelta(delta=delta))


SILENT_SECONDS = 3.0
"""Deadline of a question that is not answered."""


class Scripted(BareServicer):
    """Does what the prompt says."""

    async def Generate(
        self, request: orchestrator_pb2.GenerateRequest, context: Context
    ) -> orchestrator_pb2.GenerateResponse:
        await _fail(request.messages[0].parts[0].text, context)
        answer = types_pb2.Answer(text="量子.", finish_reason=types_pb2.FINISH_REASON_STOP)
        answer.degradations.add(detail="for a test")
        return orchestrator_pb2.GenerateResponse(answer=answer)

    async def StreamGenerate(
        self, request: orchestrator_pb2.StreamGenerateRequest, context: Context
    ) -> AsyncGenerator[Event, None]:
        prompt = request.request.messages[0].parts[0].text
        yield text("量子")
        await _fail(prompt, context)
        yield Event(seam=orchestrator_pb2.Seam(byte_offset=5))
        yield text(".")
        if prompt != "unfinished":
            answer = types_pb2.Answer(finish_reason=types_pb2.FINISH_REASON_STOP)
            yield Event(finished=orchestrator_pb2.Finished(answer=answer))


async def _fail(prompt: str, context: Context) -> None:
    if prompt == "typed":
        await abort(context, Overloaded("full"), "id")
    if prompt == "untyped":
        await context.abort(grpc.StatusCode.UNAVAILABLE, "reset")
    if prompt == "silent":
        await asyncio.sleep(20)


@asynccontextmanager
async def asking() -> AsyncIterator[AskingClient]:
    server = grpc.aio.server()
    orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(Scripted(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield AskingClient(channel)
    await server.stop(None)


async def outcome(prompt: str, stream: bool, patience: Patience = Patience.WAITS) -> Outcome:
    question = Question(prompt, "量子.", SILENT_SECONDS if prompt == "silent" else 30.0, stream)
    async with asking() as client:
        return await client.ask(replace(question, patience=patience))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer(stream: bool) -> None:
    seen = await outcome("answer", stream)
    assert (seen.end, seen.text, seen.finish_reason) == (End.ANSWERED, "量子.", types_pb2.FINISH_REASON_STOP)
    assert seen.degraded == (not stream)
    assert seen.seams == ([Seam(5, 6)] if stream else [])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("prompt", "end"), [("typed", End.ERROR), ("untyped", End.LOST), ("silent", End.OWN_DEADLINE)]
)
async def test_an_end_that_is_no_answer(prompt: str, end: End, stream: bool) -> None:
    seen = await outcome(prompt, stream)
    assert (seen.end, seen.text) == (end, "量子" if stream else "")
    assert (SILENT_SECONDS - 0.1 < seen.seconds < 15.0) == (prompt == "silent")


async def test_a_stream_without_its_last_event_is_lost() -> None:
    assert (await outcome("unfinished", stream=True)).end is End.LOST


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_does_so_at_once(stream: bool) -> None:
    seen = await outcome("silent", stream, Patience.LEAVES)
    assert seen.end is End.LEFT
    assert seen.seconds < SILENT_SECONDS - 0.1


async def test_a_client_that_does_not_read_stays_until_its_deadline() -> None:
    seen = await outcome("silent", stream=True, patience=Patience.NEVER_READS)
    assert (seen.end, seen.text) == (End.LEFT, "")
    assert seen.seconds > 0.45
