"""Would catch tokens that Tandem bills and no engine made, or that an engine made and nobody is told of."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tandem.client import Client
from tandem.ledger import queries
from tandem.ledger.schema import reading
from tandem.v1 import types_pb2
from tests.engine_books import EngineBooks
from tests.integration.asking import sim
from tests.system import Tandem, ledger_beside

pytestmark = pytest.mark.asyncio(loop_scope="session")

PRICES = {"r1": (100, 300), "pro": (1000, 3000)}
"""Billionths of a US dollar for a token of prompt and for one of answer."""


async def streamed(client: Client, prompt: str, **options: Any) -> types_pb2.Answer:
    stream = client.stream(prompt, no_cache=True, deadline_seconds=8, **options)
    async for _ in stream:
        pass
    return stream.answer


async def test_what_answers_say_is_what_the_engines_made(client: Client, books: EngineBooks) -> None:
    before = {what: await books.settled(what) for what in ("output_tokens", "input_tokens")}
    text = "<think>量子 " + "hm " * 20 + "</think>" + "Answer 🙂. " * 20
    faults = [sim("pro", fault="oom", at=at) for at in (0, 1, 17, 40)]

    answers = await asyncio.gather(
        *(client.ask(sim(tokens=10 + n), tier=("r1", "pro")[n % 2], no_cache=True) for n in range(10)),
        *(
            streamed(client, sim(tokens=40 + n), tier="r1", variant=("fp16", "int8")[n % 2])
            for n in range(10)
        ),
        *(streamed(client, sim(text=text, chunk_chars=1 + n), tier="pro") for n in range(6)),
        *(streamed(client, f"{sim(tokens=50)} {fault}", tier="pro") for fault in faults),
        *(client.ask(sim(tokens=5), strategy=types_pb2.STRATEGY_ENSEMBLE, no_cache=True) for _ in range(3)),
        client.ask(sim(tokens=90), tier="r1", sampling=types_pb2.Sampling(max_tokens=11), no_cache=True),
        client.ask(sim(tokens=90), tier="r1", sampling=types_pb2.Sampling(stop=[" t9"]), no_cache=True),
    )

    after = {what: await books.settled(what) for what in before}
    made = {what: Counter(after[what]) - Counter(before[what]) for what in before}
    claimed: Counter[str] = Counter()
    for answer in answers:
        for attempt in answer.attempts:
            claimed[attempt.model] += attempt.usage.output_tokens
        assert answer.usage.output_tokens == sum(attempt.usage.output_tokens for attempt in answer.attempts)
        assert answer.cost_nano_usd == sum(
            attempt.usage.input_tokens * PRICES[attempt.target.tier][0]
            + attempt.usage.output_tokens * PRICES[attempt.target.tier][1]
            for attempt in answer.attempts
        )
    assert claimed == made["output_tokens"]
    assert sum(answer.usage.output_tokens for answer in answers) == made["output_tokens"].total()


async def test_tries_under_one_identifier_are_booked_apart(
    system: Tandem, client: Client, books: EngineBooks
) -> None:
    before = await books.settled()

    async def left_after(characters: int) -> None:
        shown = 0
        async for event in client.stream(
            sim(tokens=400, tpot_ms=5), tier="r1", no_cache=True, request_id="again"
        ):
            shown += len(event.text.delta)
            if shown > characters:
                break

    await asyncio.gather(left_after(0), left_after(500))

    booked: Sequence[Mapping[str, Any]] = []
    async with asyncio.timeout(30):
        while len(booked) < 2:
            await asyncio.sleep(0.1)
            with reading(ledger_beside(system.log_file)) as connection:
                booked = queries.requests_named(connection, "again")
    after = await books.settled()
    assert sum(each["output_tokens"] for each in booked) == after["r1"] - before["r1"]
