"""The trace UI with the traces of the demo load, and a real browser; skipped where either is not installed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tandem.cache_folder import cache_folder
from trace_demo.environment import environment, python

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = ROOT / "tools" / "trace_ui.py"
STOP_SECONDS: Final = 60.0
LARGEST_PICTURE: Final = 300_000
"""Bytes that a picture of the docs may have."""
FLAGS: Final = (
    "--headless",
    "--no-sandbox",  # it may run as root in a container, and opens nothing but what we started
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A running trace UI."""

    url: str
    otlp: str
    requests: list[dict[str, Any]]
    """The demo load, as the program tells of it."""
    program: psutil.Process

    def ended_with(self, *, degraded: bool) -> list[dict[str, Any]]:
        """Return the requests that were answered, degraded or as planned."""
        answered = (each for each in self.requests if each["attempts"])
        return [each for each in answered if bool(each["degradations"]) is degraded]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    if not python(environment(cache_folder())).exists():
        pytest.skip("the trace UI is not in the cache folder; fetch it with `tools/trace_ui.py --fetch`")
    log = tmp_path_factory.mktemp("trace_ui") / "log"
    command = [sys.executable, str(PROGRAM), "--port", "0", "--json"]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as program,
    ):
        assert program.stdout is not None
        line, started = program.stdout.readline(), psutil.Process(program.pid)
        assert line, log.read_text()
        told, children = json.loads(line), started.children(recursive=True)
        yield Shown(told["ui"], told["otlp"], told["requests"], started)
        program.send_signal(signal.SIGINT)
        assert program.wait(STOP_SECONDS) == 0, log.read_text()
    _, left = psutil.wait_procs(children, timeout=5)
    assert left == []


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip(
            "Chromium and its driver are not on PATH; Debian: apt-get install chromium chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    running = webdriver.Chrome(options=options, service=Service(driver))
    yield running
    running.quit()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go: the folder in TANDEM_SCREENSHOTS, else one that is thrown away."""
    named = os.environ.get("TANDEM_SCREENSHOTS")
    return ROOT / named if named else tmp_path_factory.mktemp("screenshots")
