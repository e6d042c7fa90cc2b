"""Would catch a profile for GPUs whose models, with the memory they are given, do not fit into it.

The sums are those that anybody does by hand: weights, and keys and values of all sequences at full length.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, PROFILES

GPU_BYTES = 40_000_000_000
OVERHEAD_BYTES = 1_500_000_000
"""What an engine needs on each GPU beside weights, keys and values: a guess on the safe side of 1 GB."""
BYTES = {"bf16": 2, "int8": 1}
CACHE_BYTES = 2
"""Keys and values are kept in 16 bits, whatever the weights are."""


def values(profile: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / profile).read_text())
    return found


GPU_PROFILES = [profile for profile in PROFILES if values(profile)["triton"]["engine"] == "vllm"]
TIERS = [(profile, tier) for profile in GPU_PROFILES for tier in values(profile)["tiers"]]


def needed_bytes(shape: dict[str, int], variant: dict[str, Any], gpus: int) -> float:
    """Return what one variant needs on each of its GPUs."""
    weights = shape["parameters"] * BYTES[variant["precision"]]
    per_token = 2 * shape["layers"] * shape["kvHeads"] * shape["headSize"] * CACHE_BYTES
    cached: int = per_token * variant["context"] * variant["concurrency"]
    return (weights + cached) / gpus + OVERHEAD_BYTES


def test_there_are_profiles_for_gpus() -> None:
    assert GPU_PROFILES == ["values-a100-dev.yaml", "values-p4d.yaml"]


@pytest.mark.parametrize(("profile", "name"), TIERS)
def test_every_variant_fits_into_its_part_of_the_gpus(profile: str, name: str) -> None:
    tier = values(profile)["tiers"][name]
    gpus, shape = tier["parallel"]["tensor"], tier["model"]["shape"]
    assert shape["heads"] % gpus == 0
    assert shape["kvHeads"] % gpus == 0
    parts = []
    for variant in filter(None, tier["variants"].values()):
        part = variant["engine"]["gpu_memory_utilization"]
        assert needed_bytes(shape, variant, gpus) <= part * GPU_BYTES
        parts.append(part)
    assert sum(parts) <= 0.95


def test_a_node_has_the_gpus_that_are_asked_for() -> None:
    used = [
        tier["parallel"]["tensor"] * tier["replicas"] for tier in values("values-p4d.yaml")["tiers"].values()
    ]
    assert used == [8, 8]
    assert [tier["parallel"]["tensor"] for tier in values("values-a100-dev.yaml")["tiers"].values()] == [1, 1]
