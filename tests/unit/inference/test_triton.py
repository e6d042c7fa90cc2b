"""Would catch: an adapter that loses pieces, leaves a model running, or hides what Triton said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import pytest
from tritonclient.grpc import service_pb2

from tandem.errors import BackendError, BackendUnavailable, OutOfMemory
from tandem.inference.engine import Piece, Prompt
from tandem.inference.receipts import UNKNOWN_TIMES
from tandem.inference.triton import TritonEngine
from tandem.serving.clients import open_channel
from tandem.v1 import types_pb2
from tests.fakes import triton
from tests.fakes.calls import call

PROMPT = Prompt("r1", "hi", (), types_pb2.Sampling())


@dataclass
class Setup:
    """An engine and what it talks to."""

    triton: triton.FakeTriton
    engine: TritonEngine

    async def pieces(self, stream: bool = True) -> list[Piece]:
        return [piece async for piece in self.engine.generate(PROMPT, stream, call())]


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    fake = triton.FakeTriton()
    async with triton.served(fake) as port, open_channel(f"127.0.0.1:{port}") as channel:
        engine = TritonEngine(channel)
        yield Setup(fake, engine)
        engine.close()


async def test_pieces_in_order_and_the_stream_again(setup: Setup) -> None:
    for _ in range(3):
        assert [piece.text for piece in await setup.pieces()] == ["Hel", "lo"]
    assert setup.triton.streams == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_the_request_says_whether_to_stream_and_whose_it_is(setup: Setup, stream: bool) -> None:
    await setup.pieces(stream)
    (request,) = setup.triton.requests
    assert triton.inputs(request)["stream"] == [stream]
    assert request.id == "test/0"


async def test_a_final_flag_on_the_last_piece(setup: Setup) -> None:
    async def script(_: service_pb2.ModelInferRequest, write: triton.Write) -> None:
        await write(triton.tensors({"text_output": "all"}, final=True))

    setup.triton.script = script
    for _ in range(2):
        assert [piece.text for piece in await setup.pieces()] == ["all"]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("CUDA out of memory", OutOfMemory),
        ("Stub process 'r1_0_0' is not healthy.", BackendUnavailable),
        ("odd", BackendError),
    ],
)
async def test_an_error_in_band_after_a_piece(setup: Setup, message: str, kind: type[Exception]) -> None:
    async def script(_: service_pb2.ModelInferRequest, write: triton.Write) -> None:
        await write(triton.tensors({"text_output": "Hel"}))
        await write(triton.failure(message))

    setup.triton.script = script
    found = []
    with pytest.raises(kind, match=f"r1: {message}"):
        async for piece in setup.engine.generate(PROMPT, True, call()):
            found.append(piece.text)
    assert found == ["Hel"]


async def test_after_an_error_the_next_request_is_answered(setup: Setup) -> None:
    async def script(_: service_pb2.ModelInferRequest, write: triton.Write) -> None:
        await write(triton.failure("odd"))

    setup.triton.script = script
    with pytest.raises(BackendError):
        await setup.pieces()
    setup.triton.script = triton.hello
    assert [piece.text for piece in await setup.pieces()] == ["Hel", "lo"]


async def test_closing_the_iterator_stops_the_model(setup: Setup) -> None:
    setup.triton.script = setup.triton.hang
    async with aclosing(setup.engine.generate(PROMPT, True, call())) as pieces:
        assert (await anext(pieces)).text == "Hel"
    async with asyncio.timeout(5):
        await setup.triton.cancelled.wait()


async def test_thirty_at_a_time_stay_apart(setup: Setup) -> None:
    async def echo(request: service_pb2.ModelInferRequest, write: triton.Write) -> None:
        text = triton.inputs(request)["text_input"][0].decode()
        for character in text:
            await write(triton.tensors({"text_output": character}))
        await write(triton.final())

    setup.triton.script = echo

    async def ask(text: str) -> str:
        prompt = Prompt("r1", text, (), types_pb2.Sampling())
        return "".join([piece.text async for piece in setup.engine.generate(prompt, True, call())])

    questions = [f"question {number}" for number in range(30)]
    assert await asyncio.gather(*map(ask, questions)) == questions
    assert setup.triton.streams <= 30


# --- receipts


async def test_an_attempt_has_a_name_of_its_own(setup: Setup) -> None:
    prompt = Prompt("r1", "hi", (), types_pb2.Sampling(), attempt=3)
    async for _ in setup.engine.generate(prompt, True, call(request_id="mine")):
        pass
    assert [request.id for request in setup.triton.requests] == ["mine/3"]


async def test_a_receipt_is_what_the_model_says(setup: Setup) -> None:
    setup.triton.receipts["test/2"] = (7, 40)
    for _ in range(2):
        found = await setup.engine.receipt("r1", 2, call())
        assert found == types_pb2.Usage(input_tokens=7, output_tokens=40)
    assert (setup.triton.questions, setup.triton.config_requests) == (["test/2"] * 2, 1)


async def test_a_model_that_keeps_no_receipts_is_never_asked(setup: Setup) -> None:
    setup.triton.keeps_receipts = False
    assert await setup.engine.receipt("r1", 0, call()) is None
    assert setup.triton.questions == []


async def test_an_attempt_is_unknown_only_when_it_is_so_again(setup: Setup) -> None:
    assert await setup.engine.receipt("r1", 0, call()) is None
    assert setup.triton.questions == ["test/0"] * UNKNOWN_TIMES


async def test_of_several_tritons_the_one_that_knows_is_found() -> None:
    fakes = [triton.FakeTriton() for _ in range(3)]
    async with contextlib.AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(triton.served(fake)) for fake in fakes]
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        channel = await stack.enter_async_context(open_channel(target))
        engine = TritonEngine(channel)
        for number, fake in enumerate(fakes):
            fake.receipts[f"test/{number}"] = (number, 40)
            assert await engine.receipt("r1", number, call()) == types_pb2.Usage(
                input_tokens=number, output_tokens=40
            )
        engine.close()


@pytest.mark.parametrize(
    "said", ["still running: request 'test/0'", "Stub process 'r1_0_0' is not healthy.", "something odd"]
)
async def test_a_model_that_cannot_say_yet_is_asked_again(setup: Setup, said: str) -> None:
    setup.triton.receipts["test/0"] = said
    asking = asyncio.create_task(setup.engine.receipt("r1", 0, call()))
    while len(setup.triton.questions) < 2:
        await asyncio.sleep(0.01)
    setup.triton.receipts["test/0"] = (1, 2)
    assert await asking == types_pb2.Usage(input_tokens=1, output_tokens=2)


async def test_triton_may_be_away_for_a_while() -> None:
    fake = triton.FakeTriton()
    async with triton.served(fake) as port:
        pass
    async with open_channel(f"127.0.0.1:{port}") as channel:
        engine = TritonEngine(channel)
        asking = asyncio.create_task(engine.receipt("r1", 0, call()))
        await asyncio.sleep(0.15)
        assert not asking.done()
        fake.receipts["test/0"] = (1, 2)
        async with triton.served(fake, port):
            assert await asking == types_pb2.Usage(input_tokens=1, output_tokens=2)


async def test_a_model_that_was_away_is_asked_for_its_configuration_again(setup: Setup) -> None:
    async def broken(_: service_pb2.ModelInferRequest, write: triton.Write) -> None:
        await write(triton.failure("Stub process 'r1_0_0' is not healthy."))

    setup.triton.receipts["test/0"] = (1, 2)
    await setup.engine.receipt("r1", 0, call())
    setup.triton.script = broken
    with pytest.raises(BackendUnavailable):
        await setup.pieces()
    await setup.engine.receipt("r1", 0, call())
    assert setup.triton.config_requests == 2
