"""A cluster's DNS, on the loopback interface: names of Services in the form and with the search list of Kubernetes."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

NETWORK: Final = f"127.{2 + os.getpid() % 250}"
"""The first half of all addresses: another one for each process, so that two runs do not meet."""
ADDRESS: Final = f"{NETWORK}.2.53"
ZONE: Final = "svc.cluster.local"
TTL_SECONDS: Final = 5
A_RECORD, NO_ERROR, NO_SUCH_NAME = 1, 0, 3

Lookup = Callable[[str], Sequence[str] | None]
"""Returns the addresses of a Service by its name; None if there is no such Service."""


def resolver_configuration(namespace: str) -> str:
    """Return what a kubelet writes into /etc/resolv.conf of a pod."""
    return f"nameserver {ADDRESS}\nsearch {namespace}.{ZONE} {ZONE} cluster.local\noptions ndots:5\n"


@asynccontextmanager
async def serving_names(
    namespace: str, lookup: Lookup, local_address: tuple[str, int] = (ADDRESS, 53)
) -> AsyncIterator[str]:
    """Answer queries while the context is open; give the address."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Protocol(f".{namespace}.{ZONE}", lookup), local_addr=local_address
    )
    host, port = transport.get_extra_info("sockname")
    try:
        yield f"{host}:{port}"
    finally:
        transport.close()


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, suffix: str, lookup: Lookup) -> None:
        self._suffix = suffix
        self._lookup = lookup

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        labels, position = [], 12
        while length := data[position]:
            labels.append(data[position + 1 : position + 1 + length].decode().lower())
            position += 1 + length
        question = data[12 : position + 5]
        (kind,) = struct.unpack(">H", question[-4:-2])
        name = ".".join(labels)
        service = name.removesuffix(self._suffix)
        # As CoreDNS does, a headless Service without a ready pod is a name that does not exist.
        found = self._lookup(service) if name.endswith(self._suffix) else None
        addresses = found if found and kind == A_RECORD else []
        flags = 0x8580 | (NO_ERROR if found else NO_SUCH_NAME)
        header = data[:2] + struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0)
        answers = [
            struct.pack(">HHHIH", 0xC00C, A_RECORD, 1, TTL_SECONDS, 4) + ipaddress.IPv4Address(each).packed
            for each in addresses
        ]
        self._transport.sendto(header + question + b"".join(answers), addr)
