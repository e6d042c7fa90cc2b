"""The whole system as a user starts it: `tandem up`, a real Triton, the real small model."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from tandem.client import Client
from tandem.embedded.errors import PlatformUnsupported
from tandem.embedded.host import check_host, this_host
from tests.engine_books import EngineBooks
from tests.system import Tandem, tandem_up


@pytest.fixture(scope="session", autouse=True)
def _able_host() -> None:
    try:
        check_host(this_host())
    except PlatformUnsupported as error:
        pytest.skip(str(error))


@pytest_asyncio.fixture(
    scope="session", loop_scope="session", params=[[], ["--separate"]], ids=["together", "separate"]
)
async def system(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tandem]:
    # The first start on a machine fetches Triton and the weights.
    async with tandem_up(
        request.param, tmp_path_factory.mktemp("real") / "tandem.log", seconds=600
    ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def client(system: Tandem) -> AsyncIterator[Client]:
    async with Client(system.address) as opened:
        yield opened


@pytest.fixture
def books(system: Tandem) -> EngineBooks:
    port = next(
        word.partition("=")[2] for word in triton_of(system).cmdline() if word.startswith("--metrics-port=")
    )
    return EngineBooks(f"http://127.0.0.1:{port}/metrics")


def triton_of(system: Tandem) -> psutil.Process:
    """Return the process of tritonserver."""
    (found,) = (each for each in system.descendants() if each.name() == "tritonserver")
    return found
