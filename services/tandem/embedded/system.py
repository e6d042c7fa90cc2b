"""What a system on one machine is made of, whichever way its services run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.serving.clients import Callee, open_channel
from tandem.serving.tls import Tls
from tandem.telemetry.logs import LogFormat, LogLevel

RETRY_SECONDS: Final = 0.1
"""Pause before a server that went away is asked again."""


@dataclass(frozen=True, slots=True)
class System:
    """Addresses and documents of a system.

    `triton` is the gRPC address of each tier's Triton, by the tier's name; tiers may share one. `listen` is where the
    orchestrator listens, port 0 for a free one; `ledger` is a SQLAlchemy URL, empty for none, and
    `keep_prompts` says whether it keeps conversations too; `keys` are the hashes of the API keys, without which nobody
    needs one; `metrics` is where Prometheus finds the metrics of all services that run in one process, or those of the
    orchestrator where each runs in its own, empty for nowhere; `otlp` is where spans go, empty for what OpenTelemetry's
    environment variables say.
    """

    triton: Mapping[str, str]
    listen: str
    catalogue: Path
    policy: Path
    ledger: str = ""
    keep_prompts: bool = False
    keys: Path | None = None
    metrics: str = ""
    otlp: str = ""
    drain_seconds: float = 30.0
    log_format: LogFormat = "console"
    log_level: LogLevel = "warning"


async def wait_healthy(
    target: str, services: tuple[str, ...], seconds: float, tls: Tls | None = None
) -> bool:
    """Return True once health is SERVING for every one of `services` at `target`, False if it takes too long.

    Raises:
        TlsUnusable: the files of TLS are of no use.
    """
    end = time.monotonic() + seconds
    async with open_channel(target, tls, Callee.FOREIGN) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return all([await _serving(stub, service, end) for service in services])


async def _serving(stub: health_pb2_grpc.HealthStub, service: str, end: float) -> bool:
    while (left := end - time.monotonic()) > 0:
        watch = stub.Watch(  # type: ignore[attr-defined]  # the published stubs lack it
            health_pb2.HealthCheckRequest(service=service), timeout=left, wait_for_ready=True
        )
        try:
            async for response in watch:
                if response.status == health_pb2.HealthCheckResponse.SERVING:
                    return True
        except grpc.aio.AioRpcError:
            # The server went away while it was watched; it may come back.
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            watch.cancel()
    return False
