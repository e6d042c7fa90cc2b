"""Would catch tokens that an engine made for an attempt that was cut off, and that nobody can be told of afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

import grpc.aio
import pytest
import pytest_asyncio

from tandem.catalogue import load_catalogue
from tandem.embedded.triton import TritonProcess
from tandem.errors import BackendUnavailable, DeadlineExceeded, OutOfMemory
from tandem.inference.__main__ import build
from tandem.inference.servicer import SERVICE_NAME, InferenceServicer
from tandem.protocols import Inference
from tandem.serving.clients import GrpcInference, open_channel
from tandem.v1 import inference_pb2, inference_pb2_grpc, types_pb2
from tests.engine_books import EngineBooks
from tests.fakes.calls import call, user
from tests.fakes.listening import listening
from tests.integration.asking import sim
from tests.system import CATALOGUE, simulated_triton

pytestmark = pytest.mark.asyncio(loop_scope="session")

COUNTS = ("requests", "input_tokens", "output_tokens")


@contextlib.asynccontextmanager
async def inference_on(address: str, mode: str) -> AsyncIterator[Inference]:
    """Give the inference of tier r1 on a Triton: the core itself, or its service over gRPC."""
    async with open_channel(address) as channel:
        core = build(load_catalogue(CATALOGUE), "r1", channel)
        if mode == "together":
            yield core
            return

        def add(server: grpc.aio.Server) -> None:
            inference_pb2_grpc.add_InferenceServiceServicer_to_server(InferenceServicer(core), server)

        async with listening(add, services=(SERVICE_NAME,)) as served:
            yield GrpcInference(served.channel, "r1")


@pytest_asyncio.fixture(loop_scope="session")
async def inference(mode: str, triton: TritonProcess) -> AsyncIterator[Inference]:
    async with inference_on(triton.grpc_address, mode) as opened:
        yield opened


def request(prompt: str, attempt: int = 0) -> inference_pb2.InferRequest:
    return inference_pb2.InferRequest(variant="fp16", messages=[user(prompt)], attempt=attempt)


async def read(
    inference: Inference,
    prompt: str,
    name: str,
    *,
    attempt: int = 0,
    tokens: int = 10**9,
    seconds: float = 20,
) -> int:
    """Read an answer up to some tokens, and leave; return how many came.

    Raises:
        DeadlineExceeded: the time is over, which who calls a core in this process sees to.
    """
    came = 0
    asked = call(seconds, request_id=name)
    try:
        async with (
            asyncio.timeout_at(asked.deadline),
            contextlib.aclosing(inference.stream_infer(request(prompt, attempt), asked)) as pieces,
        ):
            async for piece in pieces:
                came += piece.output_tokens
                if came >= tokens:
                    break
    except TimeoutError as error:
        raise DeadlineExceeded("the time of the attempt is over") from error
    return came


async def settle(
    inference: Inference, name: str, attempt: int = 0, seconds: float = 10
) -> inference_pb2.SettleUsageResponse:
    asked = inference_pb2.SettleUsageRequest(variant="fp16", attempt=attempt)
    return await inference.settle_usage(asked, call(seconds, request_id=name))


def total(responses: list[inference_pb2.SettleUsageResponse]) -> dict[str, int]:
    """Add up what was settled."""
    assert all(response.settled for response in responses)
    return {
        "requests": len(responses),
        "input_tokens": sum(response.usage.input_tokens for response in responses),
        "output_tokens": sum(response.usage.output_tokens for response in responses),
    }


async def made(books: EngineBooks, before: dict[str, int]) -> dict[str, int]:
    """Return what r1 has made since `before`."""
    return {what: (await books.settled(what))["r1"] - before[what] for what in COUNTS}


async def test_attempts_that_were_cancelled_are_settled_to_the_token(
    inference: Inference, books: EngineBooks, mode: str
) -> None:
    before = await made(books, dict.fromkeys(COUNTS, 0))
    prompt = sim(tokens=5000, tpot_ms=1)
    names = [f"cancelled-{mode}-{number}" for number in range(12)]

    came = await asyncio.gather(
        *(read(inference, prompt, name, tokens=1 + 9 * number) for number, name in enumerate(names))
    )
    settled = await asyncio.gather(*(settle(inference, name) for name in names))

    assert total(settled) == await made(books, before)
    assert all(response.usage.output_tokens >= seen for response, seen in zip(settled, came, strict=True))


async def test_attempts_of_one_request_are_settled_apart(inference: Inference, mode: str) -> None:
    name = f"attempts-{mode}"
    await read(inference, sim(tokens=7), name, attempt=0)
    with pytest.raises(OutOfMemory):
        await read(inference, sim(tokens=50, fault="oom", at=30), name, attempt=1)
    with pytest.raises(DeadlineExceeded):
        await read(inference, sim(tokens=50, fault="stall", at=20), name, attempt=2, seconds=0.5)

    responses = [await settle(inference, name, attempt) for attempt in range(3)]

    assert [response.usage.output_tokens for response in responses] == [7, 30, 20]
    assert [response.settled for response in responses] == [True] * 3


async def test_what_never_reached_the_engine_is_not_settled(inference: Inference) -> None:
    response = await settle(inference, "never")
    assert not response.settled
    assert response.usage == types_pb2.Usage()


@pytest.mark.timeout(120)
async def test_a_triton_that_is_killed_takes_no_token_with_it(mode: str) -> None:
    async with (
        simulated_triton(["r1", "r1-int8"]) as triton,
        inference_on(triton.grpc_address, mode) as inference,
    ):
        names = [f"killed-{number}" for number in range(8)]
        prompts = [sim(tokens=5000, tpot_ms=1 + number % 3) for number in range(8)]
        answered = await read(inference, sim(tokens=11), "before")
        reading = [asyncio.create_task(read(inference, *each)) for each in zip(prompts, names, strict=True)]
        await asyncio.sleep(0.5)

        os.kill(triton.pid, signal.SIGKILL)
        ends = await asyncio.gather(*reading, return_exceptions=True)
        settled = await asyncio.gather(*(settle(inference, name, seconds=60) for name in ["before", *names]))
        await read(inference, sim(tokens=5), "after")
        settled.append(await settle(inference, "after"))

        assert [type(end) for end in ends] == [BackendUnavailable] * 8
        assert answered == settled[0].usage.output_tokens == 11
        assert all(response.usage.output_tokens > 50 for response in settled[1:-1])
        assert total(settled) == await made(EngineBooks(triton.metrics_url), dict.fromkeys(COUNTS, 0))


@pytest.mark.timeout(120)
async def test_a_model_that_crashes_takes_no_token_with_it(mode: str) -> None:
    async with (
        simulated_triton(["r1", "r1-int8"]) as triton,
        inference_on(triton.grpc_address, mode) as inference,
    ):
        beside = asyncio.create_task(read(inference, sim(tokens=5000, tpot_ms=2), "beside", seconds=3))
        crash = asyncio.create_task(
            # Late enough that what is beside it has begun too.
            read(inference, sim(tokens=50, tpot_ms=10, fault="crash", at=33), "crashed", seconds=3)
        )
        ends = await asyncio.gather(beside, crash, return_exceptions=True)
        settled = [await settle(inference, name, seconds=60) for name in ("crashed", "beside")]
        await read(inference, sim(tokens=5), "after")
        settled.append(await settle(inference, "after"))

        assert {type(end) for end in ends} <= {BackendUnavailable, DeadlineExceeded}
        assert settled[0].usage.output_tokens == 33
        assert total(settled) == await made(EngineBooks(triton.metrics_url), dict.fromkeys(COUNTS, 0))
