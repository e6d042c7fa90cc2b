"""Would catch deployments that are too small for a load, and nodes that are counted otherwise than they are filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tandem.capacity.fitting import TierPlan, nodes_needed
from tandem.capacity.growth import sized
from tandem.capacity.memory import Layout
from tandem.capacity.nodes import load_nodes
from tandem.capacity.shape import load_models
from tests.unit.simulation.deployments import deployment

SHAPE = load_models().models["deepseek-r1-distill-qwen-32b"].shape


def tier(
    name: str, tensor: int, replicas: int = 1, pipeline: int = 1, node: str = "p4d.24xlarge"
) -> TierPlan:
    return TierPlan(name, node, load_nodes().nodes[node], SHAPE, [], Layout(tensor, pipeline), replicas)


tiers = st.builds(
    tier,
    name=st.just("x"),
    tensor=st.integers(1, 8),
    replicas=st.integers(0, 30),
    pipeline=st.integers(1, 3),
    node=st.sampled_from(["p4d.24xlarge", "p5.48xlarge"]),
)


def filled_one_by_one(plans: Sequence[TierPlan]) -> dict[str, int]:
    """Give every part of every replica the first node with room, the widest first."""
    free: dict[str, list[int]] = {}
    for plan in sorted(plans, key=lambda plan: -plan.layout.tensor):
        nodes = free.setdefault(plan.node_name, [])
        for _ in range(plan.replicas * plan.layout.pipeline):
            room = next((index for index, gpus in enumerate(nodes) if gpus >= plan.layout.tensor), None)
            if room is None:
                nodes.append(8 - plan.layout.tensor)
            else:
                nodes[room] -= plan.layout.tensor
    return {name: len(nodes) for name, nodes in free.items()}


@given(st.lists(tiers, max_size=5))
def test_nodes_are_counted_as_they_are_filled(plans: list[TierPlan]) -> None:
    assert nodes_needed(plans) == filled_one_by_one(plans)


def test_a_million_replicas_are_counted_at_once() -> None:
    assert nodes_needed([tier("r1", 4, 1_000_001), tier("pro", 8, 500_000)]) == {"p4d.24xlarge": 1_000_001}


def test_a_load_gets_as_many_cells_as_bear_it() -> None:
    whole = replace(deployment(4), orchestrators=4)
    plans = [tier("r1", 4), tier("pro", 8)]
    size = sized(whole, plans, bears=8.0, per_second=1000.0)
    # A cell bears 2 requests per second: 500 of them, each with half a node for R1 and one for Pro.
    assert (size.deployment.orchestrators, size.deployment.replicas) == (500, {"r1": 500, "pro": 500})
    assert size.nodes == {"p4d.24xlarge": 750}
    assert sized(whole, plans, 8.0, 2.0).deployment.orchestrators == 1
    assert sized(whole, plans, 8.0, 2.01).deployment.orchestrators == 2


@given(st.lists(st.floats(0.1, 1e6), min_size=2, max_size=8))
def test_more_load_never_needs_less(rates: list[float]) -> None:
    sizes = [sized(deployment(2), [tier("r1", 4), tier("pro", 8)], 5.0, rate) for rate in sorted(rates)]
    nodes = [size.nodes["p4d.24xlarge"] for size in sizes]
    assert nodes == sorted(nodes)
