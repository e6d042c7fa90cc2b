"""Tandem as one row needs it: new, with a ledger of its own, on the Tritons that all rows share."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fault_matrix.envoy import Envoy
from fault_matrix.layout import Layout, Mode
from fault_matrix.nonsense import nonsense_classifier
from fault_matrix.process import LOOPBACK, Process, free_port
from fault_matrix.tritons import SIMULATOR
from fault_matrix.valkey import start_valkey
from tandem.embedded.separate import Service, lay_out
from tandem.embedded.system import System, wait_healthy

CATALOGUE: Final = SIMULATOR / "catalogue.yaml"
POLICY: Final = Path(__file__).with_name("policy.yaml")
TIERS: Final = ("r1", "pro")
HEALTHY_SECONDS: Final = 60.0
TOGETHER: Final = "tandem up"
FIRST_TO_STOP: Final = (TOGETHER, "orchestrator")
"""Running requests of these still need the others."""


@dataclass(slots=True)
class Tandem:
    """A running Tandem, and what stands around it."""

    address: str
    ledger: str
    envoy: Envoy
    processes: dict[str, Process] = field(default_factory=dict)
    """By name: `tandem up`, or `orchestrator`, `classifier`, `fusion`, `inference r1`, `inference pro`; `valkey`."""

    async def stop(self) -> None:
        """Stop everything."""
        for name in sorted(self.processes, key=lambda name: name not in FIRST_TO_STOP):
            await self.processes[name].stop(signal.SIGINT if name == TOGETHER else signal.SIGTERM)
        await self.envoy.kill()


@asynccontextmanager
async def tandem_of(
    layout: Layout, mode: Mode, triton: Mapping[str, str], folder: Path
) -> AsyncIterator[Tandem]:
    """Run a Tandem on the Tritons of the tiers while the context is open; ledger and logs go to `folder`.

    Raises:
        StartFailed: some part of it did not come up.
    """
    address, ledger = f"{LOOPBACK}:{free_port()}", f"sqlite:///{folder}/ledger.sqlite"
    tandem = Tandem(address, ledger, Envoy(folder))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(tandem.stop)
        start = _Start(layout, tandem, folder)
        system = System(start.around_triton(triton), address, CATALOGUE, POLICY, ledger)
        if layout.separate or mode == "separate":
            classifier = await stack.enter_async_context(nonsense_classifier()) if layout.nonsense else None
            await start.apart(system, classifier)
        else:
            await start.together(system)
        yield tandem


class _Start:
    """The start of one Tandem."""

    def __init__(self, layout: Layout, tandem: Tandem, folder: Path) -> None:
        self._layout = layout
        self._tandem = tandem
        self._folder = folder

    def around_triton(self, triton: Mapping[str, str]) -> dict[str, str]:
        """Return the addresses of the Tritons as Tandem sees them."""
        return {tier: self._linked(f"triton {tier}", address) for tier, address in triton.items()}

    async def together(self, system: System) -> None:
        """Start `tandem up`."""
        await self._tandem.envoy.start()
        command = [
            *(sys.executable, "-m", "tandem.cli", "up"),
            *("--listen", system.listen),
            *("--catalogue", str(system.catalogue)),
            *("--policy", str(system.policy)),
            *("--ledger", system.ledger),
            *(f"--triton-url={tier}={address}" for tier, address in system.triton.items()),
        ]
        process = await Process.start(TOGETHER, command, self._folder)
        self._tandem.processes[TOGETHER] = process
        await self._until_healthy(process)

    async def apart(self, system: System, classifier: str | None) -> None:
        """Start every service; `classifier` is the address of one that stands in."""
        _, services = lay_out(system, TIERS)
        named = {_name(service): service for service in services}
        settings = await self._settings(named["orchestrator"].environment, classifier)
        named["orchestrator"] = Service("orchestrator", settings)
        await self._tandem.envoy.start()
        processes = self._tandem.processes
        for name, service in named.items():
            command = [sys.executable, "-m", "tandem.embedded.child", service.name]
            processes[name] = await Process.start(name, command, self._folder, service.environment)
        for name, service in named.items():
            listen = service.environment[f"TANDEM_{service.name.upper()}_LISTEN"]
            await processes[name].until_accepting(int(listen.rpartition(":")[2]))
        await self._until_healthy(processes["orchestrator"])

    async def _settings(self, settings: Mapping[str, str], classifier: str | None) -> dict[str, str]:
        """Return the orchestrator's settings, with what the layout puts between it and the others."""
        changed = dict(settings)
        tiers = json.loads(changed["TANDEM_ORCHESTRATOR_TIERS"])
        linked = {tier: self._linked(tier, address) for tier, address in tiers.items()}
        changed["TANDEM_ORCHESTRATOR_TIERS"] = json.dumps(linked)
        upstream = classifier or changed["TANDEM_ORCHESTRATOR_CLASSIFIER"]
        changed["TANDEM_ORCHESTRATOR_CLASSIFIER"] = self._linked("classifier", upstream)
        if self._layout.valkey:
            valkey, url = await start_valkey(self._folder)
            self._tandem.processes["valkey"] = valkey
            changed["TANDEM_ORCHESTRATOR_CACHE_URL"] = url
        return changed

    def _linked(self, name: str, address: str) -> str:
        """Return an address, or where Envoy stands before it."""
        trouble = self._layout.envoy.get(name)
        return self._tandem.envoy.link(name, address, trouble) if trouble else address

    async def _until_healthy(self, process: Process) -> None:
        # A tier behind an Envoy may never look well.
        tiers = [tier for tier in TIERS if tier not in self._layout.envoy]
        if not await wait_healthy(self._tandem.address, ("", *tiers), HEALTHY_SECONDS):
            raise process.failure()


def _name(service: Service) -> str:
    return f"{service.name} {service.environment.get('TANDEM_INFERENCE_TIER', '')}".strip()
