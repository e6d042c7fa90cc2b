"""A child process with a log of its own, which a row may kill or freeze."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

LOOPBACK: Final = "127.0.0.1"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 40.0
POLL_SECONDS: Final = 0.02
LOG_LINES: Final = 20


class StartFailed(Exception):
    """Something that the matrix needs did not come up."""


class Process:
    """A running program.

    Args:
        name: for messages, and of its log.
        command: program and arguments.
        log: where everything goes that it prints.
        environment: variables beside those of this process.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._environment = environment
        self._child: asyncio.subprocess.Process

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        folder: Path,
        environment: Mapping[str, str] = {},
    ) -> Self:
        """Start a program; its log goes to `folder`."""
        process = cls(name, command, folder / f"{name}.log", environment)
        await process.start_again()
        return process

    async def start_again(self) -> None:
        """Start it anew after its end."""
        with self._log.open("ab") as out:
            self._child = await asyncio.create_subprocess_exec(
                *self._command,
                env={**os.environ, **self._environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._child.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(number)

    async def kill(self) -> None:
        """End it as a crash would."""
        self.send(signal.SIGKILL)
        await self._child.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end and wait for that; kill it when it does not."""
        self.send(signal.SIGCONT)
        self.send(number)
        try:
            await asyncio.wait_for(self._child.wait(), STOP_SECONDS)
        except TimeoutError:
            await self.kill()

    async def until_accepting(self, port: int) -> None:
        """Wait until it accepts connections.

        Raises:
            StartFailed: it ended, or takes too long.
        """
        end = asyncio.get_running_loop().time() + START_SECONDS
        while not await accepts(port):
            if not self.running or asyncio.get_running_loop().time() > end:
                raise self.failure()
            await asyncio.sleep(POLL_SECONDS)

    def failure(self) -> StartFailed:
        """Return the error that it did not come up, with its last words."""
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return StartFailed("\n".join([f"{self.name} did not come up; its last words:", *lines]))


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        return int(held.getsockname()[1])


async def accepts(port: int) -> bool:
    """Return True if somebody accepts connections at a port."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
