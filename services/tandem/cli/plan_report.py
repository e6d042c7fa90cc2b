"""What `tandem plan` prints: a table to check by hand, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from tandem.capacity.fitting import TierPlan, gb, most_sequences, refusal, remedies
from tandem.capacity.memory import Load, Need
from tandem.capacity.planning import Planned

_HEAD = (
    "variant",
    "precision",
    "context",
    "sequences",
    "weights",
    "KV cache",
    "activations",
    "runtime",
    "sum",
)


def as_object(planned: Planned, prices: Mapping[str, Decimal]) -> str:
    """Return everything as one JSON object; memory is in MB of 1,000,000 bytes, on one GPU."""
    nodes = planned.nodes
    content = {
        "ok": not planned.refusals,
        "refusals": planned.refusals,
        "tiers": [_tier(tier) for tier in planned.tiers],
        "not_checked": list(planned.unknown),
        "nodes": nodes,
        "usd_per_hour": usd_per_hour(nodes, prices),
    }
    return json.dumps(content, ensure_ascii=False)


def as_text(planned: Planned, prices: Mapping[str, Decimal]) -> str:
    """Return a table for each tier, and what all of them need."""
    parts = [_described(tier) for tier in planned.tiers]
    parts += [f"tier {name}: not checked, the shape of its model is not given" for name in planned.unknown]
    if planned.tiers:
        nodes = planned.nodes
        total = ", ".join(f"{count} × {name}" for name, count in nodes.items())
        cost = usd_per_hour(nodes, prices)
        if planned.shared:
            needs, usable = sum(tier.all_mb for tier in planned.tiers), planned.tiers[0].node.usable_mb
            parts.append(f"all tiers on the same accelerator: {gb(needs)} of {gb(usable)} usable")
        if not planned.refusals:
            parts.append(f"all replicas: {total}" + (f", {cost} US dollars per hour" if cost else ""))
    parts += planned.refusals
    return "\n\n".join(parts)


def _tier(tier: TierPlan) -> dict[str, Any]:
    variants = [
        {
            "variant": load.name,
            "precision": load.precision,
            "context": load.context,
            "concurrency": load.concurrency,
            "load": "on-demand" if load.on_demand else "resident",
            **{f"{key}_mb": value for key, value in asdict(need).items()},
            "concurrency_that_fits": most_sequences(tier, index),
        }
        for index, (load, need) in enumerate(zip(tier.loads, tier.needs, strict=True))
    ]
    return {
        "tier": tier.name,
        "node": tier.node_name,
        "tensor": tier.layout.tensor,
        "pipeline": tier.layout.pipeline,
        "replicas": tier.replicas,
        "fits": tier.fits,
        "needs_mb": tier.needs_mb,
        "usable_mb": tier.node.usable_mb,
        "replicas_per_node": tier.replicas_per_node,
        "variants": variants,
        "refusal": refusal(tier),
        "would_fit": [] if tier.fits else remedies(tier),
    }


def _described(tier: TierPlan) -> str:
    layout, node = tier.layout, tier.node
    rows = [_row(load, need) for load, need in zip(tier.loads, tier.needs, strict=True)]
    unified = ", shared with the system" if node.unified else ""
    lines = [
        (
            f"tier {tier.name} on {tier.node_name} ({node.accelerators} × {node.accelerator}{unified}): "
            f"tensor {layout.tensor}, pipeline {layout.pipeline}"
        ),
        *aligned([_HEAD, *rows]),
        (
            f"a GPU needs {gb(tier.needs_mb)} and has {gb(node.usable_mb)} usable, {node.usable_percent} % of "
            f"{gb(node.memory_bytes // 1_000_000)}: {'fits' if tier.fits else 'does not fit'}"
        ),
        f"replicas: {tier.replicas} wanted; {_held(tier)}",
        "sequences that fit: "
        + ", ".join(f"{load.name} {most_sequences(tier, index)}" for index, load in enumerate(tier.loads)),
    ]
    return "\n".join(lines)


def _held(tier: TierPlan) -> str:
    nodes = "a node holds" if tier.layout.pipeline == 1 else f"{tier.layout.pipeline} nodes together hold"
    return f"{nodes} {tier.replicas_per_node if tier.fits else 0}"


def _row(load: Load, need: Need) -> tuple[str, ...]:
    sizes = (need.weights, need.kv_cache, need.activations, need.runtime, need.total)
    return (load.title, load.precision, str(load.context), str(load.concurrency), *map(gb, sizes))


def aligned(rows: Sequence[Sequence[str]], words: int = 2) -> list[str]:
    """Return rows as lines with columns below each other; the first columns are words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def usd_per_hour(nodes: Mapping[str, int], prices: Mapping[str, Decimal]) -> str | None:
    """Return dollars per hour; None unless every type of node that is needed has a price."""
    if not nodes or any(name not in prices for name in nodes):
        return None
    return f"{sum(count * prices[name] for name, count in nodes.items()):.2f}"
