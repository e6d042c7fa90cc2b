"""Would catch: replicas that nobody counts, a target that is misread, a resolver that keeps everybody waiting."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from tandem.serving import addresses
from tandem.serving.addresses import addresses_of


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("ipv4:10.0.0.1:8001", {("10.0.0.1", 8001)}),
        ("ipv4:10.0.0.1:8001,10.0.0.2:8002", {("10.0.0.1", 8001), ("10.0.0.2", 8002)}),
        ("ipv6:[::1]:8001,[fe80::2]:8001", {("::1", 8001), ("fe80::2", 8001)}),
        ("127.0.0.1:8001", {("127.0.0.1", 8001)}),
        ("[::1]:8001", {("::1", 8001)}),
        ("dns:127.0.0.1:8001", {("127.0.0.1", 8001)}),
        ("dns:///127.0.0.1:8001", {("127.0.0.1", 8001)}),
        ("dns://10.96.0.10/name:8001", set()),
        ("unix:/run/triton.sock", set()),
        ("dns:///name.invalid:8001", set()),
        ("dns:///name-without-port", set()),
        ("", set()),
    ],
)
async def test_targets(target: str, found: set[tuple[str, int]]) -> None:
    assert await addresses_of(target) == found


async def test_all_addresses_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def getaddrinfo(*arguments: Any, **_: Any) -> list[tuple[Any, ...]]:
        asked.append(arguments[:2])
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 8001)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.2", 8001)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 8001, 0, 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    found = await addresses_of("dns:///tritons:8001")
    assert found == {("10.0.0.1", 8001), ("10.0.0.2", 8001), ("fe80::1", 8001)}
    assert asked == [("tritons", 8001)]


async def test_a_resolver_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "LOOKUP_SECONDS", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2.0))
    began = asyncio.get_running_loop().time()
    assert await addresses_of("dns:///tritons:8001") == set()
    assert asyncio.get_running_loop().time() - began < 1.5
