"""How much has to be deployed for a load, once it is known what one cell answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tandem.capacity.fitting import TierPlan, nodes_needed
from tandem.simulation.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Size:
    """A deployment for one load."""

    per_second: float
    """Requests that it is sent."""
    deployment: Deployment
    nodes: Mapping[str, int]
    """By type; of the tiers whose nodes are known."""


def sized(deployment: Deployment, plans: Sequence[TierPlan], bears: float, per_second: float) -> Size:
    """Return as many of the smallest cells as answer a load.

    Args:
        deployment: what is multiplied: its smallest cell.
        plans: its tiers, as far as their nodes are known.
        bears: requests per second that the whole deployment shall be sent at most.
        per_second: the load.
    """
    cells = max(1, math.ceil(per_second / bears * deployment.cells - 1e-9))
    grown = deployment.divided(deployment.cells).times(cells)
    return Size(per_second, grown, nodes_of(grown, plans))


def nodes_of(deployment: Deployment, plans: Sequence[TierPlan]) -> dict[str, int]:
    """Return how many nodes of each type hold a deployment's replicas."""
    return nodes_needed([replace(plan, replicas=deployment.replicas[plan.name]) for plan in plans])
