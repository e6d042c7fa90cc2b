"""Every service its own process, talking gRPC over loopback."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tandem.catalogue import load_catalogue
from tandem.embedded.errors import EmbeddedError
from tandem.embedded.system import System, wait_healthy
from tandem.serving.keys import load_keys
from tandem.telemetry.logs import logger
from tandem.telemetry.settings import OTLP_VARIABLE

START_SECONDS: Final = 60.0
RESTART_SECONDS: Final = 1.0
"""Pause before a service that ended unasked is started again."""

_log = logger("separate")


class ServiceFailed(EmbeddedError):
    """A service did not come up."""


@dataclass(frozen=True, slots=True)
class Service:
    """One process: the service's name, and the environment variables that are its settings."""

    name: str
    environment: Mapping[str, str]


@asynccontextmanager
async def separate(system: System) -> AsyncIterator[str]:
    """Run the services while the context is open; give the orchestrator's address.

    Raises:
        ServiceFailed: the orchestrator did not come up.
        DocumentError: the catalogue or the keys are not valid.
    """
    tiers = list(load_catalogue(system.catalogue).tiers)
    if system.keys:
        load_keys(system.keys)
    address, services = lay_out(system, tiers)
    front, back = _Group(services[-1:], system.drain_seconds), _Group(services[:-1], system.drain_seconds)
    try:
        if not await wait_healthy(address, ("", *tiers), START_SECONDS):
            raise ServiceFailed(
                f"the services did not become healthy within {START_SECONDS:.0f} s; their log above says why, "
                "and --log-level info makes it longer"
            )
        yield address
    finally:
        # The orchestrator's running requests still need the others.
        await front.stop()
        await back.stop()


def lay_out(system: System, tiers: Sequence[str]) -> tuple[str, list[Service]]:
    """Return the orchestrator's address and the processes of a system, the orchestrator last."""
    names = ["classifier", "fusion", *tiers]
    addresses = dict(zip(names, _free_addresses(len(names)), strict=True))
    host, _, port = system.listen.rpartition(":")
    address = f"{host}:{port}" if port != "0" else _free_addresses(1)[0]
    services = [
        _service(system, "classifier", addresses["classifier"]),
        _service(system, "fusion", addresses["fusion"]),
    ]
    for tier in tiers:
        extra = {"tier": tier, "triton": system.triton[tier], "catalogue": str(system.catalogue)}
        services.append(_service(system, "inference", addresses[tier], extra))
    extra = {
        "classifier": addresses["classifier"],
        "fusion": addresses["fusion"],
        "tiers": json.dumps({tier: addresses[tier] for tier in tiers}),
        "catalogue": str(system.catalogue),
        "policy": str(system.policy),
        "ledger": system.ledger,
        "ledger_prompts": str(system.keep_prompts),
        "metrics_listen": system.metrics,
    }
    if system.keys:
        extra["keys"] = str(system.keys)
    services.append(_service(system, "orchestrator", address, extra))
    return address, services


def _service(system: System, name: str, address: str, extra: Mapping[str, str] = {}) -> Service:
    settings = {
        "listen": address,
        "drain_seconds": str(system.drain_seconds),
        "log_format": system.log_format,
        "log_level": system.log_level,
        **extra,
    }
    prefix = f"TANDEM_{name.upper()}_"
    environment = {f"{prefix}{key.upper()}": value for key, value in settings.items()}
    if system.otlp:
        environment[OTLP_VARIABLE] = system.otlp
    return Service(name, environment)


def _free_addresses(count: int) -> list[str]:
    """Return loopback addresses that nothing listens on now; all are held while they are chosen, so they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{held.getsockname()[1]}" for held in sockets]
    finally:
        for held in sockets:
            held.close()


class _Group:
    """Services that are stopped together."""

    def __init__(self, services: list[Service], drain_seconds: float) -> None:
        self._stop = asyncio.Event()
        self._keepers = [
            asyncio.create_task(_keep(service, self._stop, drain_seconds)) for service in services
        ]

    async def stop(self) -> None:
        """Stop them all and wait for it."""
        self._stop.set()
        await asyncio.gather(*self._keepers)


async def _keep(service: Service, stop: asyncio.Event, drain_seconds: float) -> None:
    """Run a service until `stop`; start it again when it ends before."""
    stopped = asyncio.create_task(stop.wait())
    while not stop.is_set():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tandem.embedded.child",
            service.name,
            env={**os.environ, **service.environment},
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        ended = asyncio.create_task(process.wait())
        await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            _log.warning(
                "service ended unasked; starting it again", service=service.name, status=process.returncode
            )
            await asyncio.wait([stopped], timeout=RESTART_SECONDS)
        else:
            await _terminate(process, ended, drain_seconds)


async def _terminate(
    process: asyncio.subprocess.Process, ended: asyncio.Task[int], drain_seconds: float
) -> None:
    process.terminate()
    await asyncio.wait([ended], timeout=drain_seconds + 2.0)
    if not ended.done():
        process.kill()
        await ended
