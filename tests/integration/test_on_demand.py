"""Would catch a variant on demand that is not loaded when it is needed, stays loaded, makes a tier sick or is late.

The Triton is real, and so are loading and unloading, of a model that is simulated.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
import pytest_asyncio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tandem.client import Client
from tandem.embedded.system import wait_healthy
from tandem.embedded.triton import TritonProcess
from tests.integration.asking import PRO, R1_INT8, sim
from tests.system import CATALOGUE, POLICY, Tandem, simulated_tandem, simulated_triton

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

INT8 = "r1-int8"
IDLE_SECONDS = 5
LOAD_SECONDS = 8
"""Expected; really about two, and more where all cores are busy."""
ON_DEMAND = CATALOGUE.read_text(encoding="utf-8").replace(
    f"        model: {INT8}\n",
    f"        model: {INT8}\n        load: on-demand\n        load_ms: {LOAD_SECONDS * 1000}\n"
    f"        idle_seconds: {IDLE_SECONDS}\n",
)
RULES = POLICY.read_text(encoding="utf-8").replace(
    "{from: r1, on: out_of_memory, to: [r1/int8]}", "{from: r1, on: out_of_memory, to: [r1/int8, pro]}"
)
OUT_OF_MEMORY = sim("r1", fault="oom")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lean_triton() -> AsyncIterator[TritonProcess]:
    """A Triton that has not loaded all of its models."""
    async with simulated_triton(["r1", "pro"]) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def tandem(mode: str, lean_triton: TritonProcess, tmp_path: Path) -> AsyncIterator[Tandem]:
    (tmp_path / "catalogue.yaml").write_text(ON_DEMAND, encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(RULES, encoding="utf-8")
    options = [f"--catalogue={tmp_path}/catalogue.yaml", f"--policy={tmp_path}/policy.yaml"]
    async with simulated_tandem(lean_triton, mode, tmp_path / "tandem.log", *options) as running:
        yield running


async def state(triton: TritonProcess) -> str:
    """Return what Triton's index says of the variant."""
    async with grpc.aio.insecure_channel(triton.grpc_address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        index = await stub.RepositoryIndex(service_pb2.RepositoryIndexRequest())
        (found,) = (str(each.state) for each in index.models if each.name == INT8)
        return found


async def until_unloaded(triton: TritonProcess) -> None:
    end = time.monotonic() + 40.0
    while await state(triton) not in ("", "UNAVAILABLE"):
        assert time.monotonic() < end, await state(triton)
        await asyncio.sleep(0.1)


async def sleeping(client: Client) -> list[str]:
    explained = await client.explain(sim(tokens=1), deadline_seconds=10)
    return [f"{each.target.tier}/{each.target.variant}" for each in explained.models if each.asleep]


async def until_known_to_sleep(client: Client) -> None:
    """Wait until the orchestrator has heard that the variant is asleep, and that no other is."""
    async with asyncio.timeout(30):
        while await sleeping(client) != ["r1/int8"]:
            await asyncio.sleep(0.1)


async def test_down_to_zero_and_back(tandem: Tandem, lean_triton: TritonProcess) -> None:
    await until_unloaded(lean_triton)
    async with Client(tandem.address) as client:
        for _ in range(2):
            await until_known_to_sleep(client)
            assert await wait_healthy(tandem.address, ("", "r1", "pro"), 30.0)
            answers = await asyncio.gather(
                *(client.ask(f"{OUT_OF_MEMORY} {n}", tier="r1", deadline_seconds=30) for n in range(4))
            )
            assert {(each.answered_by.tier, each.answered_by.variant) for each in answers} == {("r1", "int8")}
            assert await state(lean_triton) == "READY"
            assert await sleeping(client) == []
            await until_unloaded(lean_triton)


async def test_what_could_not_wake_in_time_is_not_tried(tandem: Tandem, lean_triton: TritonProcess) -> None:
    await until_unloaded(lean_triton)
    async with Client(tandem.address) as client:
        await until_known_to_sleep(client)
        hurried = await client.ask(OUT_OF_MEMORY, tier="r1", no_cache=True, deadline_seconds=LOAD_SECONDS - 3)
        assert hurried.answered_by == PRO
        assert await state(lean_triton) != "READY"
        patient = await client.ask(OUT_OF_MEMORY, tier="r1", no_cache=True, deadline_seconds=30)
        assert patient.answered_by == R1_INT8


async def test_a_triton_that_restarts_in_between_costs_nothing(
    tandem: Tandem, lean_triton: TritonProcess
) -> None:
    async with Client(tandem.address) as client:
        assert (await client.ask(sim(tokens=2), tier="r1", variant="int8", deadline_seconds=30)).text
        restarts = lean_triton.status.restarts
        os.kill(lean_triton.pid, signal.SIGKILL)
        end = time.monotonic() + 60.0
        while lean_triton.status.restarts == restarts or lean_triton.status.state.value != "ready":
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        assert await wait_healthy(tandem.address, ("", "r1", "pro"), 30.0)
        await until_known_to_sleep(client)
        again = await client.ask(sim(tokens=3), tier="r1", variant="int8", deadline_seconds=30)
        assert again.answered_by == R1_INT8
