"""Tandem as one row needs it: new, with a ledger of its own, on the Tritons that all rows share."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from fault_matrix.envoy import Envoy
from fault_matrix.layout import Layout, Mode
from fault_matrix.nonsense import nonsense_classifier
from fault_matrix.process import LOOPBACK, Process, StartFailed, free_port
from fault_matrix.tritons import SIMULATOR
from fault_matrix.valkey import start_valkey
from tandem.embedded.separate import Service, lay_out
from tandem.embedded.system import System, wait_healthy

CATALOGUE: Final = SIMULATOR / "catalogue.yaml"
POLICY: Final = Path(__file__).with_name("policy.yaml")
TIERS: Final = ("r1", "pro")
HEALTHY_SECONDS: Final = 60.0
FIRST_TO_STOP: Final = ("tandem up", "orchestrator")
"""Running requests of these still need the others."""


@dataclass(slots=True)
class Tandem:
    """A running Tandem, and what stands around it."""

    address: str
    ledger: str
    processes: dict[str, Process] = field(default_factory=dict)
    """By name: `tandem up`, or `orchestrator`, `classifier`, `fusion`, `inference r1`, `inference pro`; `valkey`."""
    envoy: Envoy | None = None

    async def stop(self) -> None:
        """Stop everything."""
        for name in sorted(self.processes, key=lambda name: name not in FIRST_TO_STOP):
            await self.processes[name].stop(signal.SIGINT if name == "tandem up" else signal.SIGTERM)


@asynccontextmanager
async def tandem_of(
    layout: Layout, mode: Mode, triton: Mapping[str, str], folder: Path
) -> AsyncIterator[Tandem]:
    """Run a Tandem while the context is open.

    Raises:
        StartFailed: some part of it did not come up.
    """
    system = System(
        triton=triton,
        listen=f"{LOOPBACK}:{free_port()}",
        catalogue=CATALOGUE,
        policy=POLICY,
        ledger=f"sqlite:///{folder}/ledger.sqlite",
    )
    tandem = Tandem(system.listen, system.ledger)
    envoy = Envoy(folder)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(tandem.stop)
        if layout.envoy:
            tandem.envoy = envoy
            stack.push_async_callback(envoy.kill)
        system = replace(system, triton=_around_triton(layout, envoy, triton))
        if layout.separate or mode == "separate":
            services = await _services(layout, system, envoy, tandem, folder, stack)
        else:
            services = {}
        if layout.envoy:
            await envoy.start()
        await _start(system, services, tandem, folder)
        yield tandem


def _around_triton(layout: Layout, envoy: Envoy, triton: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses of the Tritons as Tandem sees them."""
    return {
        tier: envoy.link(f"triton {tier}", address, layout.envoy[f"triton {tier}"])
        if f"triton {tier}" in layout.envoy
        else address
        for tier, address in triton.items()
    }


async def _services(
    layout: Layout, system: System, envoy: Envoy, tandem: Tandem, folder: Path, stack: AsyncExitStack
) -> dict[str, Service]:
    """Return the separate services, with what the layout puts between them."""
    _, laid_out = lay_out(system, TIERS)
    services = {_name(service): service for service in laid_out}
    settings = dict(services["orchestrator"].environment)
    tiers = json.loads(settings["TANDEM_ORCHESTRATOR_TIERS"])
    for name, trouble in layout.envoy.items():
        if name in tiers:
            tiers[name] = envoy.link(name, tiers[name], trouble)
        elif name == "classifier":
            upstream = settings["TANDEM_ORCHESTRATOR_CLASSIFIER"]
            settings["TANDEM_ORCHESTRATOR_CLASSIFIER"] = envoy.link(name, upstream, trouble)
    settings["TANDEM_ORCHESTRATOR_TIERS"] = json.dumps(tiers)
    if layout.nonsense:
        settings["TANDEM_ORCHESTRATOR_CLASSIFIER"] = await stack.enter_async_context(nonsense_classifier())
    if layout.valkey:
        tandem.processes["valkey"], settings["TANDEM_ORCHESTRATOR_CACHE_URL"] = await start_valkey(folder)
    services["orchestrator"] = Service("orchestrator", settings)
    return services


def _name(service: Service) -> str:
    return f"{service.name} {service.environment.get('TANDEM_INFERENCE_TIER', '')}".strip()


async def _start(system: System, services: Mapping[str, Service], tandem: Tandem, folder: Path) -> None:
    if services:
        for name, service in services.items():
            command = [sys.executable, "-m", "tandem.embedded.child", service.name]
            tandem.processes[name] = await Process.start(name, command, folder, service.environment)
    else:
        tandem.processes["tandem up"] = await Process.start("tandem up", _command(system), folder)
    if not await wait_healthy(tandem.address, ("", *TIERS), HEALTHY_SECONDS):
        last = tandem.processes.get("orchestrator") or tandem.processes["tandem up"]
        raise last.failure()


def _command(system: System) -> list[str | Path]:
    return [
        *(sys.executable, "-m", "tandem.cli", "up"),
        *("--listen", system.listen),
        *("--catalogue", system.catalogue),
        *("--policy", system.policy),
        *("--ledger", system.ledger),
        *(f"--triton-url={tier}={address}" for tier, address in system.triton.items()),
    ]
