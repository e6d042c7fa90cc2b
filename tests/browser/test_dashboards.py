"""Would catch a dashboard whose queries draw nothing in a browser.

Grafana itself cannot be had here; Prometheus's own UI draws the same queries, and what it draws is in the docs.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from fetch_prometheus import web_assets
from tests.browser.conftest import LARGEST_PICTURE
from tests.prometheus import OBSERVABILITY, Prometheus, needs_prometheus, prometheus
from tests.system import metrics_of, simulated_tandem, simulated_triton
from trace_demo.load import demo_load

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),
    needs_prometheus,
    pytest.mark.skipif(web_assets() is None, reason="needs the UI of Prometheus: make observability-env"),
]

LOAD_SECONDS: Final = 60.0
SHOWN_SECONDS: Final = 60
DRAWN: Final = {
    "quality": ("Requests by outcome", "Share of the answers by tier"),
    "deadlines": ("First token by tier", "Degradations by reason"),
    "tiers": ("Attempts by outcome", "Tokens made"),
    "money": ("By purpose", "By tier"),
}
"""By dashboard: the panels that are drawn."""


def panel(dashboard: str, title: str) -> str:
    """Return the first query of a panel as Grafana would send it."""
    read: dict[str, Any] = json.loads((OBSERVABILITY / "dashboards" / f"tandem-{dashboard}.json").read_text())
    (found,) = (each for each in read["panels"] if each["title"] == title and "targets" in each)
    query: str = found["targets"][0]["expr"]
    return query.replace("$namespace", ".*").replace("$__rate_interval", "15s")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    """A Prometheus that has watched a Tandem under the demo load for a while."""
    folder = tmp_path_factory.mktemp("watched")
    options = ("--metrics", "127.0.0.1:0", "--log-format", "json")
    async with (
        simulated_triton() as triton,
        simulated_tandem(triton, "together", folder / "tandem.log", *options) as system,
        prometheus({"tandem": [metrics_of(system)]}, folder) as running,
    ):
        end = time.monotonic() + LOAD_SECONDS
        while time.monotonic() < end:
            await asyncio.gather(*(demo_load(system.address) for _ in range(3)))
        yield running


@pytest.mark.parametrize("dashboard", DRAWN)
async def test_the_queries_of_a_dashboard_draw_something(
    dashboard: str, watched: Prometheus, browser: webdriver.Chrome, screenshots: Path
) -> None:
    asked: dict[str, str] = {}
    for number, title in enumerate(DRAWN[dashboard]):
        asked |= {
            f"g{number}.expr": panel(dashboard, title),
            f"g{number}.tab": "0",
            f"g{number}.range_input": f"{SHOWN_SECONDS}s",
        }
    browser.set_window_size(1440, 1900)
    await asyncio.to_thread(browser.get, f"{watched.url}/graph?{urlencode(asked)}")
    await asyncio.to_thread(_until_drawn, browser, len(DRAWN[dashboard]))
    file = screenshots / f"prometheus_{dashboard}.png"
    assert browser.save_screenshot(str(file))
    assert file.stat().st_size < LARGEST_PICTURE


def _until_drawn(browser: webdriver.Chrome, graphs: int) -> None:
    def drawn(_: object) -> bool:
        found = browser.find_elements(By.CSS_SELECTOR, ".graph_container")
        lines = [each.find_elements(By.CSS_SELECTOR, ".rickshaw_graph path") for each in found]
        return len(found) == graphs and all(lines)

    WebDriverWait(browser, 30).until(drawn)
