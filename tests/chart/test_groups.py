"""Would catch a replica over several nodes whose pods do not find each other, their weights, or what may be reached."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import psutil
import pytest

from tests.chart.rendering import FETCHED, SPREAD, VERSIONS, Object, environment, of_kind, pod_specs, render


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", [SPREAD, FETCHED], ids=["claim", "fetched"])
def test_the_pods_of_a_group_are_those_of_kubernetes(version: str, values: dict[str, Any]) -> None:
    group = of_kind(render("", values), "LeaderWorkerSet")[0]
    template = group["spec"]["leaderWorkerTemplate"]
    for role in ("leaderTemplate", "workerTemplate"):
        pod = {"apiVersion": "v1", "kind": "Pod", **template[role]}
        kubernetes_validate.validate(pod, version, strict=True)


def test_the_nodes_of_a_replica_may_talk_and_only_the_first_is_asked() -> None:
    objects = render("", SPREAD)
    pods = {name: metadata["labels"] for name, metadata, _ in pod_specs(objects)}
    (policy,) = (
        each for each in of_kind(objects, "NetworkPolicy") if each["metadata"]["name"].endswith("-group-pro")
    )
    assert policy["spec"]["ingress"] == [{"from": [{"podSelector": policy["spec"]["podSelector"]}]}]
    assert policy["spec"]["egress"] == [{"to": [{"podSelector": policy["spec"]["podSelector"]}]}]
    labels = policy["spec"]["podSelector"]["matchLabels"].items()
    (expression,) = policy["spec"]["podSelector"]["matchExpressions"]
    chosen = {
        name
        for name, found in pods.items()
        if labels <= found.items() and found[expression["key"]] in expression["values"]
    }
    assert chosen == {"trial-tandem-group-pro-leader", "trial-tandem-group-pro-worker"}
    service = next(
        each for each in of_kind(objects, "Service") if each["metadata"]["name"] == "trial-tandem-triton-pro"
    )
    selector = service["spec"]["selector"].items()
    assert [name for name, found in pods.items() if selector <= found.items()] == [
        "trial-tandem-group-pro-leader"
    ]


def _pods(values: dict[str, Any], tier: str) -> list[Object]:
    """Return the pods of a tier's group: the first one and the others."""
    found = {name: spec for name, _, spec in pod_specs(render("", values))}
    return [found[f"trial-tandem-group-{tier}-{role}"] for role in ("leader", "worker")]


def test_every_node_has_the_weights_that_it_computes_with() -> None:
    for spec in _pods(FETCHED, "pro"):
        copier = next(each for each in spec["initContainers"] if each["name"] == "weights")
        assert copier["args"] == ["s3://models/pro", "/weights"]
        assert {"name": "weights", "emptyDir": {"sizeLimit": "800Gi"}} in spec["volumes"]
        for container, read_only in ((copier, False), (spec["containers"][0], True)):
            mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
            assert mounts["/weights"].get("readOnly", False) is read_only


def test_what_is_fetched_from_the_hub_has_room() -> None:
    """The volume for temporary files is far smaller, and a pod that fills it is thrown out."""
    for spec in _pods(FETCHED, "r1"):
        (container,) = spec["containers"]
        folder = Path(environment(container)["HF_HOME"])
        mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
        assert not mounts[str(folder.parent)]["readOnly"]
        assert {"name": "weights", "emptyDir": {"sizeLimit": "1Ti"}} in spec["volumes"]


@pytest.mark.parametrize(("tier", "ports"), [("r1", [9000, 443]), ("pro", [9000])])
def test_every_node_may_fetch_weights(tier: str, ports: list[int]) -> None:
    policies = {
        each["metadata"]["name"]: each["spec"] for each in of_kind(render("", FETCHED), "NetworkPolicy")
    }
    talk, *fetch = policies[f"trial-tandem-group-{tier}"]["egress"]
    assert "to" in talk
    assert [port["port"] for rule in fetch for port in rule["ports"]] == ports


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """What the pod of another node runs, with a Ray that says what it was told; its head is nowhere yet."""
    (container,) = _pods(SPREAD, "pro")[1]["containers"]
    ray = tmp_path / "ray"
    ray.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/told\n')
    ray.chmod(0o755)
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        [*container["command"], *container["args"]],
        env={"PATH": path, "LWS_LEADER_ADDRESS": HEAD},
    )
    yield process
    process.kill()
    process.wait()


HEAD = "127.66.0.1"
"""An address of the loopback interface that nobody else has."""


def test_a_node_waits_for_the_head(worker: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """A container that ends takes the whole group down, and with it what the head has fetched so far."""
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(3)
    with socket.create_server((HEAD, 6379)):
        assert worker.wait(60) == 0
    assert (tmp_path / "told").read_text().split() == ["start", f"--address={HEAD}:6379", "--block"]


def test_a_node_that_waits_ends_when_it_is_told(worker: subprocess.Popen[bytes]) -> None:
    """Process 1 of a container ignores SIGTERM unless it says otherwise."""
    deadline = time.monotonic() + 60
    while not psutil.Process(worker.pid).children():
        assert time.monotonic() < deadline, "it has not begun to wait"
        time.sleep(0.05)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 143
