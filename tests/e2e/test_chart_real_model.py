"""Would catch a chart that serves the simulator only: `values-cpu-model.yaml` with the real model on a volume."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys

import pytest

from tandem.cache_folder import cache_folder
from tandem.embedded.progress import progress_on
from tandem.embedded.weights import prepare_weights
from tests.chart.pods import Cluster
from tests.chart.rendering import RELEASE, render

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        os.geteuid() != 0, reason="only root can give a process a root folder and a user of its own"
    ),
]
STOP_SECONDS = 60.0


async def test_helm_test_passes(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cluster")
    for each in (folder, *folder.parents[:1]):
        each.chmod(0o755)
    weights = await asyncio.to_thread(prepare_weights, None, cache_folder(), progress_on(sys.stderr))
    volume = folder / "weights"
    volume.mkdir()
    for name in ("F16.gguf", "Q8_0.gguf"):
        shutil.copyfile(weights / name, volume / name)
    cluster = Cluster(render("values-cpu-model.yaml"), folder, {"tandem-weights": volume})
    try:
        await cluster.start()
        said = await cluster.pods[f"{RELEASE}-tandem-test"].run()
    finally:
        statuses = await cluster.stop(STOP_SECONDS)
    shutil.rmtree(volume)
    # What a small model says is left to chance. That its own tokeniser counts 37 in the templated question is not.
    assert "tokens       37 in" in said, said
    assert set(statuses.values()) == {0}, statuses
