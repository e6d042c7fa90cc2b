"""A real Triton with the simulator, a real OTLP receiver, and on them one Tandem of each form."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import grpc.aio
import pytest
import pytest_asyncio

from tandem.embedded.triton import TritonProcess
from tandem.serving.clients import open_channel
from tandem.v1 import orchestrator_pb2_grpc
from tests.fakes.collector import Collector, collector
from tests.system import Tandem, simulated_tandem, simulated_triton

Stub: TypeAlias = "orchestrator_pb2_grpc.OrchestratorServiceAsyncStub"


@dataclass(frozen=True, slots=True)
class Caller:
    """A client's own place in a trace of its own."""

    trace_id: str
    span_id: str

    def metadata(self, *, sampled: bool = True) -> tuple[tuple[str, str], ...]:
        """Return what it sends with a request."""
        flags = "01" if sampled else "00"
        return (("traceparent", f"00-{self.trace_id}-{self.span_id}-{flags}"), ("tracestate", "vendor=value"))


@pytest.fixture
def caller() -> Caller:
    return Caller(os.urandom(16).hex(), os.urandom(8).hex())


@pytest.fixture(scope="session")
def receiver() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def triton() -> AsyncIterator[TritonProcess]:
    async with simulated_triton() as running:
        yield running


@pytest.fixture(scope="session", params=["together", "separate"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(
    mode: str, triton: TritonProcess, receiver: Collector, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tandem]:
    log = tmp_path_factory.mktemp(mode) / "tandem.log"
    async with simulated_tandem(triton, mode, log, "--otlp", receiver.endpoint) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def channel(system: Tandem) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(system.address) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return orchestrator_pb2_grpc.OrchestratorServiceStub(channel)
