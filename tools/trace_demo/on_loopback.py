"""Starts Phoenix with its OTLP port on this machine only; runs in Phoenix's own environment.

Phoenix listens for spans on every address and has no setting for another.
"""

from __future__ import annotations

import runpy
from typing import Any

import grpc.aio

_server = grpc.aio.server


def _on_loopback(*args: Any, **options: Any) -> grpc.aio.Server:
    made = _server(*args, **options)
    listen = made.add_insecure_port
    made.add_insecure_port = lambda address: listen(address.replace("[::]", "127.0.0.1"))  # type: ignore[method-assign]  # there is no setting for it
    return made


if __name__ == "__main__":
    grpc.aio.server = _on_loopback
    runpy.run_module("phoenix.server.main", run_name="__main__", alter_sys=True)
