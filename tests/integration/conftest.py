"""One real Triton with the simulator for all tests, and on it one Tandem of each form: `together` and `separate`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import grpc.aio
import pytest
import pytest_asyncio

from tandem.client import Client
from tandem.embedded.triton import TritonProcess
from tandem.serving.clients import open_channel
from tandem.v1 import orchestrator_pb2_grpc
from tests.engine_books import EngineBooks
from tests.system import Tandem, simulated_tandem, simulated_triton

Stub: TypeAlias = "orchestrator_pb2_grpc.OrchestratorServiceAsyncStub"
Start: TypeAlias = Callable[[], AbstractAsyncContextManager[Tandem]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def triton() -> AsyncIterator[TritonProcess]:
    async with simulated_triton() as running:
        yield running


@pytest.fixture(scope="session", params=["together", "separate"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(
    mode: str, triton: TritonProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tandem]:
    async with simulated_tandem(triton, mode, tmp_path_factory.mktemp(mode) / "tandem.log") as running:
        yield running


@pytest.fixture
def start(mode: str, triton: TritonProcess, tmp_path: Path) -> Start:
    """Start a Tandem of one's own, for a test that breaks it."""
    return lambda: simulated_tandem(triton, mode, tmp_path / "tandem.log")


@pytest_asyncio.fixture(loop_scope="session")
async def client(system: Tandem) -> AsyncIterator[Client]:
    async with Client(system.address) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def channel(system: Tandem) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(system.address) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return orchestrator_pb2_grpc.OrchestratorServiceStub(channel)


@pytest.fixture
def books(triton: TritonProcess) -> EngineBooks:
    return EngineBooks(triton.metrics_url)
