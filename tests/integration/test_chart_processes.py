"""Would catch a chart that every linter accepts and that does not come up, or does not answer, or does not end.

Every container of `values-cpu.yaml` runs with the command, the variables, the user and the volumes that the chart
renders, below a root folder that it cannot write. With TANDEM_TEST_IMAGES=FOLDER, below the unpacked real images.
"""

from __future__ import annotations

import asyncio
import os
import urllib.request
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tandem.client import Client
from tandem.v1 import types_pb2
from tests.chart.pods import Cluster
from tests.chart.rendering import RELEASE, render
from tests.engine_books import EngineBooks
from tests.fakes.told import Told, read

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        os.geteuid() != 0, reason="only root can give a process a root folder and a user of its own"
    ),
]
PROBE_SECONDS = 30.0
STOP_SECONDS = 40.0
FOUND_SECONDS = 45.0
READY_SECONDS = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    for each in (folder, *folder.parents[:1]):
        each.chmod(0o755)
    running = Cluster(render("values-cpu.yaml"), folder)
    try:
        await running.start()
        yield running
    finally:
        await running.stop(STOP_SECONDS)


async def test_helm_test_passes(cluster: Cluster) -> None:
    said = await cluster.pods[f"{RELEASE}-tandem-test"].run()
    assert "tier         r1/" in said or "tier         pro/" in said, said


async def test_every_probe_succeeds(cluster: Cluster) -> None:
    for pod in cluster.pods.values():
        if not pod.is_test:
            await pod.until(("startupProbe", "readinessProbe", "livenessProbe"), PROBE_SECONDS)


async def test_every_service_tells_its_metrics_and_the_orchestrator_the_load(cluster: Cluster) -> None:
    told = {}
    for name, pod in cluster.pods.items():
        if not pod.is_test and "triton" not in name:
            told[name.removeprefix(f"{RELEASE}-tandem-")] = await metrics(pod.address)
    assert set(told) == {"orchestrator", "classifier", "fusion", "inference-r1", "inference-pro"}
    assert all(found.total("tandem_build_info") == 1 for found in told.values())
    for name in ("tandem_in_flight", "tandem_queued"):
        assert told["orchestrator"].labels(name, "tier") == {"r1", "pro"}
    assert told["inference-r1"].labels("tandem_variant_ready", "tier") == {"r1"}
    assert told["classifier"].total("tandem_classifier_artifact_info") == 1


async def test_a_triton_that_is_added_is_counted_and_used_until_it_goes(cluster: Cluster) -> None:
    orchestrator = cluster.pods[f"{RELEASE}-tandem-orchestrator"].address
    added = await cluster.add(f"{RELEASE}-tandem-triton-r1")
    await added.until_ready(READY_SECONDS)
    await counted(orchestrator, instances=2, limit=64)
    async with Client(f"{orchestrator}:50051") as client:

        async def crowd() -> list[types_pb2.Answer]:
            return await asyncio.gather(*(client.ask("So?", tier="r1", no_cache=True) for _ in range(8)))

        async with asyncio.timeout(FOUND_SECONDS):
            while not await EngineBooks(f"http://{added.address}:8002/metrics").total():
                await crowd()
        assert await cluster.remove(added, STOP_SECONDS) == 0
        await counted(orchestrator, instances=1, limit=32)
        assert not any(answer.degradations for answer in await crowd())


async def counted(orchestrator: str, *, instances: int, limit: int) -> None:
    """Wait until the orchestrator says that R1 has so many Tritons, and that it may let in so many attempts."""
    wanted = {"tandem_instances": instances, "tandem_concurrency_limit_max": limit, "tandem_sharers": 1}
    found: dict[str, float] = {}
    async with asyncio.timeout(FOUND_SECONDS):
        while found != wanted:
            await asyncio.sleep(0.2)
            told = await metrics(orchestrator)
            found = {name: told.total(name, tier="r1", variant="fp16") for name in wanted}


async def metrics(address: str) -> Told:
    """Return what a pod tells Prometheus."""
    url = f"http://{address}:9464/metrics"
    with await asyncio.to_thread(urllib.request.urlopen, url, timeout=10) as answer:
        return read(answer.read().decode())


async def test_services_whose_triton_is_gone_are_alive_and_not_ready(cluster: Cluster) -> None:
    assert await cluster.pods[f"{RELEASE}-tandem-triton-pro"].stop(STOP_SECONDS) == 0
    inference = cluster.pods[f"{RELEASE}-tandem-inference-pro"]
    (container,) = inference.spec["containers"]
    async with asyncio.timeout(FOUND_SECONDS):
        while await inference.probe(container["readinessProbe"]):
            await asyncio.sleep(0.1)
    assert await inference.probe(container["livenessProbe"])
    orchestrator = cluster.pods[f"{RELEASE}-tandem-orchestrator"]
    await orchestrator.until(("readinessProbe", "livenessProbe"), PROBE_SECONDS)


async def test_a_triton_that_comes_back_at_another_address_is_found(cluster: Cluster) -> None:
    again = await cluster.replace(f"{RELEASE}-tandem-triton-pro")
    await again.until_ready(READY_SECONDS)
    await cluster.pods[f"{RELEASE}-tandem-inference-pro"].until_ready(FOUND_SECONDS)


async def test_every_pod_ends_when_it_is_asked_to(cluster: Cluster) -> None:
    statuses = await cluster.stop(STOP_SECONDS)
    assert set(statuses.values()) == {0}, statuses
