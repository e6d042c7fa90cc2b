"""Would catch: a Triton that counts before it answers or after it is gone, or that is not counted at all."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tandem.inference import instances as module
from tandem.inference.__main__ import build, counted
from tandem.inference.instances import Instances
from tandem.serving.clients import open_channel
from tests.fakes import triton
from tests.fakes.calls import call
from tests.fakes.documents import catalogue


async def test_those_count_that_take_connections() -> None:
    async with contextlib.AsyncExitStack() as staying:
        ports = [await staying.enter_async_context(triton.served(triton.FakeTriton())) for _ in range(2)]
        async with triton.served(triton.FakeTriton()) as leaving:
            target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in (*ports, leaving))
            instances = Instances(target)
            assert instances.count == 0
            await instances.look()
            assert instances.count == 3
        await instances.look()
        assert instances.count == 2
        async with triton.served(triton.FakeTriton(), leaving):
            await instances.look()
            assert instances.count == 3
    await instances.look()
    assert instances.count == 0


async def test_one_with_an_address_of_each_family_is_one(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """As `localhost` has, and every pod of a dual-stack cluster."""
    both = [("127.0.0.1", unused_tcp_port), ("::1", unused_tcp_port)]

    async def addresses(_: str) -> frozenset[tuple[str, int]]:
        return frozenset(both)

    monkeypatch.setattr(module, "addresses_of", addresses)
    async with contextlib.AsyncExitStack() as stack:
        for host, port in both:
            server = await asyncio.start_server(lambda _, writer: writer.close(), host, port)
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close)
        instances = Instances("tritons")
        await instances.look()
        assert instances.count == 1


async def test_the_inference_service_says_how_many_there_are() -> None:
    async with (
        triton.served(triton.FakeTriton()) as one,
        triton.served(triton.FakeTriton()) as other,
        open_channel(target := f"ipv4:127.0.0.1:{one},127.0.0.1:{other}") as channel,
        counted(target) as instances,
    ):
        core = build(catalogue(), "r1", channel, instances)
        assert (await core.get_capabilities(call())).instances == 2
        assert (await build(catalogue(), "r1", channel).get_capabilities(call())).instances == 0
