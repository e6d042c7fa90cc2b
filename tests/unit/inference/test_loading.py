"""Would catch a model loaded twice, kept for ever, taken from whoever uses it, or called dead while it sleeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from tandem.catalogue import Variant
from tandem.errors import BackendUnavailable, OutOfMemory
from tandem.inference.loading import FAILED_SECONDS, Loader
from tandem.serving.clients import open_channel
from tests.fakes.documents import catalogue
from tests.fakes.triton import FakeTriton, served

IDLE_SECONDS = 0.3


def int8(**changes: Any) -> Variant:
    fields = {"load": "on-demand", "idle_seconds": IDLE_SECONDS, **changes}
    named = {f"tiers.r1.variants.int8.{key}": value for key, value in fields.items()}
    return catalogue(named).tiers["r1"].variants["int8"]


VARIANT = int8()


@pytest.fixture
def triton() -> FakeTriton:
    fake = FakeTriton()
    fake.not_ready = {"r1-int8"}
    fake.repository = {"r1": "READY", "r1-int8": ""}
    return fake


@pytest_asyncio.fixture
async def loader(triton: FakeTriton) -> AsyncIterator[Loader]:
    async with served(triton) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield Loader(channel)


async def until(holds: Callable[[], object], seconds: float = 30.0) -> float:
    """Wait until something holds; return how long that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_all_that_wait_share_one_load(triton: FakeTriton, loader: Loader) -> None:
    triton.load_seconds = 0.2

    async def attempt() -> None:
        async with loader.awake(VARIANT):
            assert triton.repository["r1-int8"] == "READY"

    await asyncio.gather(*(attempt() for _ in range(10)))
    assert triton.loads == ["r1-int8"]


async def test_what_is_loaded_is_not_loaded_again(triton: FakeTriton, loader: Loader) -> None:
    triton.not_ready.clear()
    async with loader.awake(VARIANT):
        pass
    assert triton.loads == []


async def test_who_stops_waiting_does_not_stop_the_load(triton: FakeTriton, loader: Loader) -> None:
    triton.load_seconds = 0.2

    async def attempt() -> None:
        async with loader.awake(VARIANT):
            pytest.fail("it is not loaded yet")

    waiting = asyncio.create_task(attempt())
    await until(lambda: triton.loads)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    await until(lambda: triton.repository["r1-int8"] == "READY")
    async with loader.awake(VARIANT):
        pass
    assert triton.loads == ["r1-int8"]


async def test_nobody_needs_it_for_a_while_and_it_goes_and_comes_back(
    triton: FakeTriton, loader: Loader
) -> None:
    for number in range(1, 3):
        async with loader.awake(VARIANT):
            assert triton.repository["r1-int8"] == "READY"
        assert await until(lambda: triton.repository["r1-int8"] == "UNAVAILABLE") >= 0.9 * IDLE_SECONDS
        assert triton.loads == triton.unloads == ["r1-int8"] * number


async def test_a_long_attempt_keeps_it(triton: FakeTriton, loader: Loader) -> None:
    async with loader.awake(VARIANT):
        async with loader.awake(VARIANT):
            pass
        await asyncio.sleep(2 * IDLE_SECONDS)
        assert triton.unloads == []


async def test_what_another_service_uses_is_kept(triton: FakeTriton, loader: Loader) -> None:
    async with loader.awake(VARIANT):
        pass
    triton.last_inference["r1-int8"] = time.time() + 3 * IDLE_SECONDS
    assert await until(lambda: triton.unloads == ["r1-int8"]) >= 3 * IDLE_SECONDS


async def test_what_was_left_loaded_is_unloaded_by_whoever_finds_it(
    triton: FakeTriton, loader: Loader
) -> None:
    triton.not_ready.clear()
    for _ in range(3):
        loader.found_ready(VARIANT)
    await until(lambda: triton.unloads == ["r1-int8"])


async def test_what_fails_in_use_is_loaded_afresh(triton: FakeTriton, loader: Loader) -> None:
    patient = int8(idle_seconds=60)
    with pytest.raises(BackendUnavailable):
        async with loader.awake(patient):
            raise BackendUnavailable("the stub process is not healthy")
    await until(lambda: triton.unloads == ["r1-int8"])
    async with loader.awake(patient):
        pass
    assert triton.loads == ["r1-int8"] * 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("failed to load 'r1-int8', CUDA out of memory. Tried to allocate 2 GiB", OutOfMemory),
        ("failed to load 'r1-int8', failed to poll from model repository", BackendUnavailable),
    ],
)
async def test_what_cannot_be_loaded_is_told_to_all_that_wait_and_tried_once(
    triton: FakeTriton, loader: Loader, words: str, error: type[Exception]
) -> None:
    triton.load_seconds, triton.load_failure = 0.1, words

    async def attempt() -> None:
        async with loader.awake(VARIANT):
            pytest.fail("it cannot be loaded")

    found = await asyncio.gather(*(attempt() for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in found] == [error] * 5
    assert triton.loads == ["r1-int8"]


async def test_asleep_is_neither_missing_nor_broken(
    triton: FakeTriton, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await loader.is_asleep(VARIANT)
    assert not await loader.is_asleep(int8(model="no-such-model"))
    triton.load_failure = "no room"
    with pytest.raises(BackendUnavailable):
        async with loader.awake(VARIANT):
            pass
    assert not await loader.is_asleep(VARIANT), "it could not be loaded just now"
    later = time.monotonic() + FAILED_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert await loader.is_asleep(VARIANT), "the next attempt tries again"


async def test_a_triton_that_is_away_has_nothing_asleep() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        loader = Loader(channel)
        assert not await loader.is_asleep(VARIANT)
        with pytest.raises(BackendUnavailable):
            async with loader.awake(VARIANT):
                pass
