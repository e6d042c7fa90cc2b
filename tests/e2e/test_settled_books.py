"""Would catch tokens that llama.cpp made for an attempt whose client left, and that its receipt does not show."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tandem.catalogue import load_catalogue
from tandem.deployment import deploy_folder
from tandem.inference.__main__ import build
from tandem.inference.generate import InferenceCore
from tandem.serving.clients import open_channel
from tandem.v1 import inference_pb2, types_pb2
from tests.e2e.conftest import triton_of
from tests.engine_books import EngineBooks
from tests.fakes.calls import call, user
from tests.system import Tandem

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(660)]

COUNTS = ("requests", "input_tokens", "output_tokens")
TIERS = ("r1", "pro")
"""The model of each tier's fp16 has the tier's name."""


@pytest_asyncio.fixture(loop_scope="session")
async def tiers(system: Tandem) -> AsyncIterator[dict[str, InferenceCore]]:
    """The inference of each tier, on the Triton of the system."""
    port = next(
        word.partition("=")[2] for word in triton_of(system).cmdline() if word.startswith("--grpc-port=")
    )
    catalogue = load_catalogue(deploy_folder() / "catalogue.yaml")
    async with open_channel(f"127.0.0.1:{port}") as channel:
        yield {tier: build(catalogue, tier, channel) for tier in TIERS}


async def read(inference: InferenceCore, name: str, tokens: int) -> None:
    """Read an answer up to some tokens, and leave."""
    request = inference_pb2.InferRequest(
        variant="fp16", messages=[user("Write a long story.")], sampling=types_pb2.Sampling(max_tokens=200)
    )
    came = 0
    async with contextlib.aclosing(inference.stream_infer(request, call(60, request_id=name))) as pieces:
        async for piece in pieces:
            came += piece.output_tokens
            if came >= tokens:
                break


@pytest.mark.parametrize("tier", TIERS)
async def test_cancelled_answers_of_the_real_model_are_settled_to_the_token(
    tiers: dict[str, InferenceCore], books: EngineBooks, tier: str
) -> None:
    before = {what: await books.settled(what) for what in COUNTS}
    names = [f"story-{number}" for number in range(4)]

    await asyncio.gather(
        *(read(tiers[tier], name, 3 + 5 * number) for number, name in enumerate(names)),
        read(tiers[tier], "whole", 10_000),
    )
    asked = inference_pb2.SettleUsageRequest(variant="fp16")
    settled = [await tiers[tier].settle_usage(asked, call(30, request_id=name)) for name in (*names, "whole")]

    assert all(response.settled for response in settled)
    after = {what: await books.settled(what) for what in COUNTS}
    assert {what: after[what][tier] - before[what][tier] for what in COUNTS} == {
        "requests": 5,
        "input_tokens": sum(response.usage.input_tokens for response in settled),
        "output_tokens": sum(response.usage.output_tokens for response in settled),
    }
