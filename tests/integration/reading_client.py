"""Reads a streamed answer from ADDRESS to PROMPT and says so when text comes; a program to be killed."""

from __future__ import annotations

import asyncio
import sys

from tandem.client import Client
from tandem.v1 import types_pb2


async def main(address: str, prompt: str) -> None:
    """Read until the end."""
    async with Client(address) as client:
        sampling = types_pb2.Sampling(max_tokens=20_000)
        async for event in client.stream(
            prompt, tier="r1", sampling=sampling, no_cache=True, deadline_seconds=30
        ):
            if event.HasField("text"):
                print("text", flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
