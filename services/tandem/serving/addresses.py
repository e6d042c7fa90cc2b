"""Which addresses there are behind a target, as gRPC names targets: gRPC itself tells nobody."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

LOOKUP_SECONDS: Final = 1.0
"""Longest wait for the resolver."""

Address = tuple[str, int]
"""A host's address and a port."""


async def addresses_of(target: str) -> frozenset[Address]:
    """Return the addresses of a target that is a name or a list of addresses.

    None at all: it has none now, or it is of another kind, such as a socket's path or a name for a resolver of its own.
    """
    scheme, _, rest = target.partition(":")
    if scheme in ("ipv4", "ipv6"):
        return frozenset(filter(None, map(_split, rest.split(","))))
    if scheme == "dns":
        authority, slash, name = rest.removeprefix("//").partition("/")
        if slash and authority:
            return frozenset()
        target = name if slash else rest
    named = _split(target)
    return await _resolved(*named) if named else frozenset()


async def _resolved(host: str, port: int) -> frozenset[Address]:
    if _is_address(host):
        return frozenset({(host, port)})
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # no such name or no answer, TimeoutError among them; no name at all
        return frozenset()
    return frozenset((str(address[0]), port) for *_, address in found)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _split(text: str) -> Address | None:
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else None
