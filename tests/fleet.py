"""Several replicas of every service as processes of their own, replaced as Kubernetes rolls a Deployment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tandem.embedded.system import wait_healthy
from tandem.embedded.triton import TritonProcess
from tests.system import CATALOGUE, POLICY, TIERS

REPLICAS: Final = 2
SURGE: Final = 1
START_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 20.0
COMPONENTS: Final = ("classifier", "fusion", *(f"inference-{tier}" for tier in TIERS), "orchestrator")


@dataclass(slots=True)
class Replica:
    """One running replica."""

    process: asyncio.subprocess.Process
    port: int

    async def end(self) -> int:
        """Ask it to end, as a kubelet does, and return its exit status."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), DRAIN_SECONDS + 10.0)


def _free_ports() -> dict[str, list[int]]:
    """Return ports that nothing listens on now; all are held while they are chosen, so they differ."""
    with contextlib.ExitStack() as stack:
        found: dict[str, list[int]] = {}
        for component in COMPONENTS:
            sockets = [stack.enter_context(socket.socket()) for _ in range(REPLICAS + SURGE)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            found[component] = [each.getsockname()[1] for each in sockets]
        return found


@dataclass(slots=True)
class Fleet:
    """Replicas of every service; each component has a port more than replicas, for the one to come."""

    tritons: Mapping[str, str]
    """Where the Tritons of each tier are, as gRPC names targets."""
    folder: Path
    ports: Mapping[str, Sequence[int]] = field(default_factory=_free_ports)
    replicas: dict[str, list[Replica]] = field(default_factory=lambda: {name: [] for name in COMPONENTS})
    ledgers: list[Path] = field(default_factory=list)
    """Of every orchestrator that there ever was."""
    taken: set[int] = field(default_factory=set)
    """Ports on which a replica listens, or soon will."""

    def target(self, component: str) -> str:
        """Return the addresses of all replicas, as gRPC names targets."""
        return "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in self.ports[component])

    async def start(self, component: str) -> Replica:
        """Start a replica where nothing listens, and wait until it is ready."""
        port = next(port for port in self.ports[component] if port not in self.taken)
        self.taken.add(port)
        service, _, tier = component.partition("-")
        ledger = self.folder / f"ledger-{len(self.ledgers)}.sqlite" if service == "orchestrator" else None
        if ledger:
            self.ledgers.append(ledger)
        log = (self.folder / f"{component}.log").open("ab")
        with log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tandem.embedded.child", service),
                env={**os.environ, **self._settings(service, tier, port, ledger)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        replica = Replica(process, port)
        self.replicas[component].append(replica)
        assert await wait_healthy(f"127.0.0.1:{port}", ("",), START_SECONDS), component
        return replica

    async def roll(self, component: str) -> None:
        """Replace every replica in turn: the new one is ready before the old one is asked to end."""
        for old in list(self.replicas[component]):
            await self.start(component)
            self.replicas[component].remove(old)
            assert await old.end() == 0, component
            self.taken.remove(old.port)

    async def kill_one(self, component: str) -> None:
        """Take a replica away without a word."""
        victim = self.replicas[component].pop()
        victim.process.kill()
        await victim.process.wait()
        self.taken.remove(victim.port)

    async def stop(self) -> None:
        """End everything, the orchestrators first."""
        for component in reversed(COMPONENTS):
            for replica in self.replicas[component]:
                with contextlib.suppress(ProcessLookupError):
                    replica.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*(each.process.wait() for each in self.replicas[component]))

    def _settings(self, service: str, tier: str, port: int, ledger: Path | None) -> dict[str, str]:
        settings = {"listen": f"127.0.0.1:{port}", "drain_seconds": str(DRAIN_SECONDS), "log_level": "info"}
        if service == "inference":
            settings |= {"tier": tier, "triton": self.tritons[tier], "catalogue": str(CATALOGUE)}
        if service == "orchestrator":
            settings |= {name: self.target(name) for name in ("classifier", "fusion")}
            settings["tiers"] = json.dumps({name: self.target(f"inference-{name}") for name in TIERS})
            settings |= {"catalogue": str(CATALOGUE), "policy": str(POLICY), "ledger": f"sqlite:///{ledger}"}
        return {f"TANDEM_{service.upper()}_{name.upper()}": value for name, value in settings.items()}


@asynccontextmanager
async def fleet(triton: TritonProcess | Mapping[str, str], folder: Path) -> AsyncIterator[Fleet]:
    """Run all replicas of all services while the context is open; `triton` may be a target for each tier."""
    target = dict.fromkeys(TIERS, triton.grpc_address) if isinstance(triton, TritonProcess) else triton
    running = Fleet(target, folder)
    try:
        for component in COMPONENTS:
            await asyncio.gather(*(running.start(component) for _ in range(REPLICAS)))
        yield running
    finally:
        await running.stop()
