"""Would catch: a request that waits for a sick cache more than once, another tenant's answer, a password in a log.

The server is a real Valkey.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tandem.clock import now
from tandem.errors import BackendUnavailable
from tandem.orchestrator import shared_cache
from tandem.orchestrator.shared_cache import PREFIX, READ_SECONDS, SharedCache, open_pool, seal, unseal
from tandem.v1 import types_pb2
from tests.fakes.calls import call
from tests.fakes.valkey import ValkeyServer, level, until, valkey, written

KEY, WHO = b"k" * 32, b"w" * 32
ANSWER = types_pb2.Answer(text="because", source_request_id="one").SerializeToString()


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take longer over what is not about time."""
    if not request.node.get_closest_marker("virtual_time"):
        monkeypatch.setattr(shared_cache, "READ_SECONDS", 3.0)
        monkeypatch.setattr(shared_cache, "WRITE_SECONDS", 20.0)
        monkeypatch.setattr(shared_cache, "PROBE_SECONDS", 20.0)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    async with valkey(tmp_path) as running:
        yield running


async def kept(shared: SharedCache) -> bool:
    return await shared.find(KEY, call()) is not None


# --- keeping and finding


async def test_what_one_keeps_another_finds(server: ValkeyServer) -> None:
    async with level(server.url) as one, level(server.url) as other:
        one.keep(KEY, ANSWER, 60)
        await written(server)
        found = await other.find(KEY, call())
        assert found is not None
        assert found[0] == ANSWER
        assert 50 < found[1] <= 60
        assert await other.find(b"x" * 32, call()) is None


async def test_the_server_holds_no_names_and_drops_everything_in_time(server: ValkeyServer) -> None:
    async with level(server.url) as shared:
        shared.keep(KEY, ANSWER, 60)
        shared.note(KEY, WHO, 60)
        await until(lambda: not shared._queue)
        keys = await written(server)
        assert sorted(keys) == [
            PREFIX + b"answer:" + KEY.hex().encode(),
            PREFIX + b"request:" + WHO.hex().encode(),
        ]
        async with server.client() as redis:
            assert [50_000 < await redis.pttl(key) <= 60_000 for key in keys] == [True, True]


@given(st.binary(max_size=60))
def test_garbage_is_no_answer(value: bytes) -> None:
    assert unseal(KEY, value) is None


def test_what_is_stored_is_bound_to_its_key_and_its_time() -> None:
    stored = seal(KEY, ANSWER, 60)
    found = unseal(KEY, stored)
    assert found is not None
    assert found[0] == ANSWER
    assert unseal(b"x" * 32, stored) is None
    assert unseal(KEY, stored[:-1]) is None
    assert unseal(KEY, seal(KEY, ANSWER, -1)) is None
    assert unseal(KEY, seal(KEY, b"", 60)) is None
    assert unseal(KEY, seal(KEY, b"\xff\xff", 60)) is None
    assert unseal(KEY, None) is None


async def test_garbage_in_the_server_is_a_miss_and_no_reason_to_leave_it(server: ValkeyServer) -> None:
    async with level(server.url) as shared, server.client() as redis:
        name = PREFIX + b"answer:" + KEY.hex().encode()
        await redis.set(name, b"garbage")
        assert not await kept(shared)
        await redis.delete(name)
        await redis.lpush(name, b"a list")
        assert not await kept(shared)
        assert shared.up


async def test_many_read_and_write_at_a_time(server: ValkeyServer) -> None:
    keys = [bytes([number]) * 32 for number in range(200)]
    async with level(server.url) as shared:
        for key in keys:
            shared.keep(key, ANSWER, 60)
        await written(server, len(keys))
        found = [await asyncio.gather(*(shared.find(key, call()) for key in keys[n : n + 8])) for n in (0, 8)]
        assert all(answer is not None for answers in found for answer in answers)


# --- forgetting


async def test_forgetting_by_key_or_by_request(server: ValkeyServer) -> None:
    async with level(server.url) as one, level(server.url) as other:
        for keys, who in (({KEY}, b"nobody"), (set[bytes](), WHO)):
            one.keep(KEY, ANSWER, 60)
            one.note(KEY, WHO, 60)
            await until(lambda: not one._queue)
            await written(server)
            assert await other.forget(keys, who, call())
            assert not await kept(one)
            assert not await other.forget(keys, who, call())


async def test_what_is_not_written_yet_is_forgotten_too(server: ValkeyServer) -> None:
    async with level(server.url) as shared:
        shared.keep(KEY, ANSWER, 60)
        await shared.forget({KEY}, WHO, call())
        shared.keep(b"x" * 32, ANSWER, 60)
        await written(server)
        assert not await kept(shared)


# --- a server that is sick


class Watched:
    """Counts what reaches the library."""

    def __init__(self, shared: SharedCache, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = self.probes = 0
        self._get = shared._redis.get
        monkeypatch.setattr(shared._redis, "get", self.get)

    async def get(self, name: bytes) -> bytes | str | None:
        if name.endswith(b"probe"):
            self.probes += 1
        else:
            self.reads += 1
        return await self._get(name)


async def test_a_frozen_server_is_waited_for_once(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with level(server.url) as shared:
        watched = Watched(shared, monkeypatch)
        server.freeze()
        try:
            assert [await kept(shared) for _ in range(20)] == [False] * 20
        finally:
            server.thaw()
        assert watched.reads == 1
        await until(lambda: shared.up)
        shared.keep(KEY, ANSWER, 60)
        await written(server)
        assert await kept(shared)


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("left", "waits"), [(10.0, READ_SECONDS), (0.2, READ_SECONDS), (0.19, 0.0), (-1.0, 0.0)]
)
async def test_a_read_waits_not_for_long_and_only_with_time_to_spare(
    left: float, waits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = SharedCache("redis://127.0.0.1:1")
    monkeypatch.setattr(shared._redis, "get", lambda name: asyncio.Event().wait())
    monkeypatch.setattr(shared, "_probe", asyncio.Event().wait)
    shared.up = True
    began = now()
    assert await shared.find(KEY, call(left)) is None
    assert now() - began == pytest.approx(waits)
    assert shared.up is (waits == 0)
    await shared.__aexit__()


@pytest.mark.virtual_time
@pytest.mark.parametrize("comes_and_goes", [False, True])
async def test_a_sick_server_is_looked_for_ever_less_often(
    comes_and_goes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = SharedCache("redis://127.0.0.1:1")
    reads: list[float] = []
    probes: list[float] = []

    async def get(name: bytes) -> None:
        is_probe = name.endswith(b"probe")
        (probes if is_probe else reads).append(now())
        if not (is_probe and comes_and_goes):
            await asyncio.Event().wait()

    monkeypatch.setattr(shared._redis, "get", get)
    async with shared:
        for _ in range(2000):
            await shared.find(KEY, call())
            await asyncio.sleep(0.05)
    assert len(probes) < 60
    assert len(reads) < 25 if comes_and_goes else reads == []


@pytest.mark.parametrize("turns", range(1, 25))
async def test_a_client_that_goes_away_is_gone(server: ValkeyServer, turns: int) -> None:
    async with SharedCache(server.url) as shared:
        shared.up = True
        for _ in range(2):  # once while a connection is made, once on it
            task = asyncio.create_task(shared.find(KEY, call()))
            for _ in range(turns):
                await asyncio.sleep(0)
            cancelled = task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() is cancelled


async def test_a_server_that_is_killed_and_comes_back(server: ValkeyServer) -> None:
    with structlog.testing.capture_logs() as logs:
        async with level(server.url) as shared:
            await server.kill()
            for _ in range(20):
                assert not await kept(shared)
                shared.keep(KEY, ANSWER, 60)
            with pytest.raises(BackendUnavailable, match="ask again to remove it there"):
                await shared.forget({KEY}, WHO, call())
            await asyncio.sleep(0.3)
            await server.start()
            await until(lambda: shared.up)
            assert not await kept(shared)
            shared.keep(KEY, ANSWER, 60)
            await written(server)
            assert await kept(shared)
    said = [(log["log_level"], log["event"]) for log in logs]
    assert said == [
        ("info", "the shared cache answers"),
        ("warning", "the shared cache does not answer; going on without it"),
        ("info", "the shared cache answers"),
    ]


async def test_a_server_that_is_not_there_at_the_start_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ValkeyServer(tmp_path)
    async with SharedCache(server.url) as shared:
        watched = Watched(shared, monkeypatch)
        await until(lambda: watched.probes > 0)
        assert [await kept(shared) for _ in range(20)] == [False] * 20
        assert watched.reads == 0
        await server.start()
        try:
            await until(lambda: shared.up)
        finally:
            await server.kill()


async def test_a_full_server_is_still_read(tmp_path: Path) -> None:
    async with valkey(tmp_path, "maxmemory-policy noeviction") as server, level(server.url) as shared:
        shared.keep(KEY, ANSWER, 60)
        await written(server)
        async with server.client() as redis:
            await redis.config_set("maxmemory", "1")
        with structlog.testing.capture_logs() as logs:
            for number in range(3):
                shared.keep(bytes([number]) * 32, ANSWER, 60)
                await until(lambda: not shared._queue)
                async with shared._writing:
                    pass
            assert await kept(shared)
        assert [log["event"] for log in logs] == ["the shared cache refuses to write"]
        assert "maxmemory" in logs[0]["why"]


async def test_no_more_waits_to_be_written_than_there_is_room_for(server: ValkeyServer) -> None:
    async with level(server.url) as shared:
        for _ in range(2 * shared_cache.QUEUED):
            shared.note(KEY, WHO, 60)
        assert len(shared._queue) == shared_cache.QUEUED


async def test_a_server_that_speaks_something_else_is_left_alone() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with SharedCache(f"redis://127.0.0.1:{port}") as shared:
            await asyncio.sleep(0.3)
            assert not shared.up
            assert not await kept(shared)


# --- passwords


async def test_a_password(tmp_path: Path) -> None:
    async with valkey(tmp_path, "requirepass s3cr%t") as server:
        with structlog.testing.capture_logs() as logs:
            async with level(f"redis://:s3cr%25t@127.0.0.1:{server.port}") as shared:
                shared.keep(KEY, ANSWER, 60)
                await written(server, password="s3cr%t")  # noqa: S106 - of a server that lives for this test
            async with SharedCache(f"redis://:wr0ng@127.0.0.1:{server.port}") as shared:
                await until(lambda: len(logs) > 1)
                assert not shared.up
    assert [log["log_level"] for log in logs] == ["info", "warning"]
    assert "wr0ng" not in str(logs)
    assert "s3cr" not in str(logs)


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "host:6379",
        "redis://:s3cret@host:port",
        "redis://:s3/cret@host",
        "redis://host?s3cret=1",
        "redis://h?socket_timeout=s3cret",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="must be redis://") as caught:
        open_pool(url)
    assert "s3" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "url", ["redis://h", "rediss://:p%40@h:1/2", "unix:///run/valkey.sock", "redis://h?db=1"]
)
def test_urls(url: str) -> None:
    open_pool(url)
