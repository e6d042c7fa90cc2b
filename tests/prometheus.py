"""Prometheus and promtool for tests, and what the rules of deploy/observability say."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from fetch_prometheus import HELP, program, web_assets
from tandem.cache_folder import cache_folder

OBSERVABILITY: Final = Path(__file__).parents[1] / "deploy" / "observability"
RULE_FILES: Final = sorted((OBSERVABILITY / "rules").glob("*.yaml"))
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

needs_prometheus: Final = pytest.mark.skipif(
    not (program("prometheus") and program("promtool")), reason=f"there is no Prometheus here. {HELP}"
)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    found = program("promtool")
    assert found is not None
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False)


def groups() -> list[dict[str, Any]]:
    """Return every group of rules, recorded ones first."""
    found = [group for file in RULE_FILES for group in yaml.safe_load(file.read_text())["groups"]]
    return sorted(found, key=lambda group: "record" not in group["rules"][0])


def alerts() -> dict[str, dict[str, Any]]:
    """Return every alert by its name."""
    return {rule["alert"]: rule for group in groups() for rule in group["rules"] if "alert" in rule}


def hurried(text: str, times: float) -> str:
    """Return rules or queries with every duration so many times as short, so that a fault need not last an hour."""

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found[2]) * UNITS[found[3]] / times
        return f"{found[1]}{max(1, round(seconds * 1000))}ms"

    return re.sub(r"(\[|for: )(\d+)([smhd])\b", shorter, text)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an expression now; what has no value (NaN) is left out."""
        address = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        found = json.loads(await asyncio.to_thread(_read, address))
        assert found["status"] == "success", found
        return [each for each in found["data"]["result"] if each["value"][1] != "NaN"]

    async def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        return {each["metric"]["alertname"] for each in await self.query('ALERTS{alertstate="firing"}')}


@asynccontextmanager
async def prometheus(
    jobs: Mapping[str, Sequence[str]], folder: Path, *, times: float = 1.0
) -> AsyncIterator[Prometheus]:
    """Run a Prometheus with our rules, `times` as fast, over the addresses of each job while the context is open."""
    for file in RULE_FILES:
        (folder / file.name).write_text(hurried(file.read_text(), times))
    interval = "250ms"
    config = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [str(folder / file.name) for file in RULE_FILES],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
            for job, addresses in jobs.items()
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    found, port = program("prometheus"), _free_port()
    assert found is not None
    options = [
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    assets = web_assets()
    if assets and found.is_relative_to(cache_folder()):
        options.append(f"--web.local-assets={assets}")  # an option of Debian's only
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(found, *options, stdout=log, stderr=log)
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        await _ready(running, process, folder / "prometheus.log")
        yield running
    finally:
        process.terminate()
        await process.wait()


async def _ready(running: Prometheus, process: asyncio.subprocess.Process, log: Path) -> None:
    end = time.monotonic() + 30.0
    while True:
        assert process.returncode is None, f"see {log}"
        try:
            await asyncio.to_thread(_read, f"{running.url}/-/ready")
        except OSError:
            assert time.monotonic() < end, f"see {log}"
            await asyncio.sleep(0.1)
        else:
            return


def _read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=10) as response:  # noqa: S310 - ours
        return bytes(response.read())


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
