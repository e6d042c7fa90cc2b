"""Would catch: a stream that loses, reorders or holds back text, or leaves its source running."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.clock import now
from tandem.serving import coalesce
from tandem.serving.coalesce import Coalescer, held_back
from tandem.simulation import virtual_time

pytestmark = pytest.mark.virtual_time


class Text:
    """A message of one kind; only neighbours of the same kind may be merged."""

    def __init__(self, kind: str, content: str) -> None:
        self.kind = kind
        self.content = content


def merge(earlier: Text, later: Text) -> bool:
    if earlier.kind != later.kind:
        return False
    earlier.content += later.content
    return True


class Source:
    """Yields messages with pauses; then ends, raises or waits."""

    def __init__(self, *messages: Text, failure: Exception | None = None, hangs: bool = False) -> None:
        self.messages = messages
        self.failure = failure
        self.hangs = hangs
        self.sent = asyncio.Event()
        self.closed = False

    async def stream(self, pauses: list[float] | None = None) -> AsyncGenerator[Text, None]:
        try:
            for number, message in enumerate(self.messages):
                if pauses and pauses[number % len(pauses)] >= 0:
                    await asyncio.sleep(pauses[number % len(pauses)])
                yield Text(message.kind, message.content)
            self.sent.set()
            if self.failure is not None:
                raise self.failure
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.closed = True


def runs(messages: list[Text]) -> list[tuple[str, str]]:
    """Return the messages with neighbours of one kind joined."""
    joined: list[tuple[str, str]] = []
    for message in messages:
        if joined and joined[-1][0] == message.kind:
            joined[-1] = (message.kind, joined[-1][1] + message.content)
        else:
            joined.append((message.kind, message.content))
    return joined


_messages = st.lists(st.builds(Text, st.sampled_from("ab"), st.text(min_size=1, max_size=3)), max_size=20)
# -1: no pause, not even a turn of the loop
_pauses = st.lists(st.sampled_from([-1.0, 0.0, 0.0, 0.001, 0.003]), min_size=1, max_size=5)


@given(_messages, _pauses, _pauses)
def test_order_and_content_are_kept_under_any_timing(
    messages: list[Text], arriving: list[float], reading: list[float]
) -> None:
    async def check() -> list[Text]:
        found = []
        async with aclosing(Coalescer(merge).stream(Source(*messages).stream(arriving))) as merged:
            async for message in merged:
                found.append(message)
                if (pause := reading[len(found) % len(reading)]) >= 0:
                    await asyncio.sleep(pause)
        return found

    found = virtual_time.run(check())
    assert runs(found) == runs(messages)
    assert len(found) <= len(messages)


async def test_the_first_message_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalesce, "MESSAGES_PER_SECOND", 0.001)
    source = Source(Text("a", "first"), hangs=True)
    async with asyncio.timeout(5), aclosing(Coalescer(merge).stream(source.stream())) as merged:
        assert (await anext(merged)).content == "first"


async def test_what_arrives_while_the_reader_is_busy_travels_together() -> None:
    source = Source(*(Text("a", str(number)) for number in range(9)), hangs=True)
    async with aclosing(Coalescer(merge).stream(source.stream([0.0]))) as merged:
        first = await anext(merged)
        await source.sent.wait()
        rest = await anext(merged)
    assert first.content + rest.content == "012345678"


async def test_the_end_does_not_wait_for_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalesce, "MESSAGES_PER_SECOND", 0.001)
    source = Source(Text("a", "1"), Text("b", "2"), Text("a", "3"))
    async with asyncio.timeout(5):
        found = [message.content async for message in Coalescer(merge).stream(source.stream([0.0]))]
    assert found == ["1", "2", "3"]


async def test_streams_share_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four streams at 40 messages a second in all: each may send one in 100 ms."""
    monkeypatch.setattr(coalesce, "MESSAGES_PER_SECOND", 40)
    coalescer = Coalescer(merge)

    async def count() -> int:
        source = Source(*(Text("a", "x") for _ in range(20)))
        return len([message async for message in coalescer.stream(source.stream([0.01]))])

    before = now()
    counts = await asyncio.gather(*(count() for _ in range(4)))
    elapsed = now() - before
    assert all(number <= 2 + elapsed / 0.1 for number in counts)


async def test_closing_closes_the_source() -> None:
    source = Source(Text("a", "1"), hangs=True)
    async with aclosing(Coalescer(merge).stream(source.stream())) as merged:
        await anext(merged)
    assert source.closed


async def test_closing_before_the_first_message_closes_the_source() -> None:
    source = Source(hangs=True)
    merged = Coalescer(merge).stream(source.stream())
    waiting = asyncio.ensure_future(anext(merged))
    await source.sent.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert source.closed


async def test_an_error_comes_after_what_came_before() -> None:
    source = Source(Text("a", "1"), Text("b", "2"), failure=ValueError("broken"))
    found = []
    with pytest.raises(ValueError, match="broken"):
        async for message in Coalescer(merge).stream(source.stream([0.0])):
            found.append(message.content)
    assert found == ["1", "2"]
    assert source.closed


async def test_an_error_that_nobody_waits_for_is_not_reported_as_unheard() -> None:
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    source = Source(Text("a", "1"), Text("b", "2"), failure=ValueError("broken"))
    async with aclosing(Coalescer(merge).stream(source.stream())) as merged:
        await anext(merged)
        await source.sent.wait()
        await asyncio.sleep(0)
    gc.collect()
    assert unheard == []


async def test_a_stream_that_ended_no_longer_counts() -> None:
    coalescer = Coalescer(merge)
    for _ in range(3):
        async with aclosing(coalescer.stream(Source(Text("a", "1"), hangs=True).stream())) as merged:
            await anext(merged)
    assert coalescer._active == 0


async def test_a_stream_along_which_nobody_reads_is_held_back_after_its_first_message() -> None:
    source = Source(*(Text("a", "x") for _ in range(100)))
    began = now()
    arrived = []
    async for message in held_back(source.stream([0.01]), merge, 0.245):
        arrived.append((round(now() - began, 2), len(message.content)))
    assert arrived[0] == (0.01, 1)
    assert [later - earlier for (earlier, _), (later, _) in pairwise(arrived[:-1])] == pytest.approx(
        [0.25] * (len(arrived) - 2)
    )
    assert arrived[-1][0] == pytest.approx(1.0)
    assert sum(size for _, size in arrived) == 100


@given(_messages, _pauses)
def test_holding_back_keeps_order_and_content(messages: list[Text], arriving: list[float]) -> None:
    async def check() -> list[Text]:
        return [message async for message in held_back(Source(*messages).stream(arriving), merge, 0.002)]

    found = virtual_time.run(check())
    assert runs(found) == runs(messages)
    assert len(found) <= len(messages)


async def test_what_was_held_back_comes_before_an_error() -> None:
    source = Source(Text("a", "1"), Text("a", "2"), failure=ValueError("broken"))
    found = []
    with pytest.raises(ValueError, match="broken"):
        async for message in held_back(source.stream(), merge, 10.0):
            found.append(message.content)
    assert found == ["1", "2"]
    assert source.closed


async def test_closing_a_stream_that_is_held_back_closes_its_source() -> None:
    source = Source(Text("a", "1"), hangs=True)
    async with aclosing(held_back(source.stream(), merge, 10.0)) as merged:
        assert (await anext(merged)).content == "1"
        assert len(asyncio.all_tasks()) == 1
    assert source.closed


async def test_a_source_runs_in_one_task_so_that_its_timeouts_reach_it() -> None:
    async def slow() -> AsyncGenerator[Text, None]:
        async with asyncio.timeout(1.0):
            for number in range(100):
                yield Text(str(number), "x")
                await asyncio.sleep(0.1)

    for merged in (Coalescer(merge).stream(slow()), held_back(slow(), merge, 0.25)):
        before, found = now(), 0
        with pytest.raises(TimeoutError):
            async for _ in merged:
                found += 1
        assert found == 10
        assert now() - before == pytest.approx(1.0)
