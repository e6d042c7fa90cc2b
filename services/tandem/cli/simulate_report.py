"""What `tandem simulate` prints: tables for people, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final

from tandem.capacity.fitting import TierPlan
from tandem.capacity.growth import Size, nodes_of, sized
from tandem.cli.plan_report import aligned, usd_per_hour
from tandem.simulation.chance import generator
from tandem.simulation.deployment import Deployment, TierLoad, loads
from tandem.simulation.estimates import Estimate
from tandem.simulation.study import SAMPLE, Point, Study

DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Simulated:
    """All that was found."""

    study: Study
    plans: Sequence[TierPlan]
    """The tiers whose nodes are known."""
    prices: Mapping[str, Decimal]
    points: Sequence[Point]
    knee: Point | None
    """The last load that holds the objective; None: the lowest one does not."""
    beyond: Point | None
    """The first load that does not; None: all do."""
    at_ease: Point | None
    """At the load that larger deployments are sized for."""
    objective: float
    headroom: float
    grow_to: float

    @property
    def tiers(self) -> list[TierLoad]:
        """What each tier bears by arithmetic."""
        study = self.study
        sample = study.demand.sample(SAMPLE, generator(study.seed, "sample"))
        return loads(study.deployment, sample, study.engines.full)

    def size(self, per_second: float) -> Size | None:
        """Return a deployment for a load; None: no load holds the objective."""
        if self.at_ease is None:
            return None
        return sized(self.study.deployment, self.plans, self.at_ease.per_second, per_second)

    def sizes(self) -> list[Size]:
        """Return deployments for 10, 100, 1000 … requests per second."""
        rates = [10.0**power for power in range(1, 8) if 10.0**power < self.grow_to]
        return [size for size in map(self.size, [*rates, self.grow_to]) if size]

    def usd_per_hour(self, nodes: Mapping[str, int]) -> Decimal | None:
        """Return what nodes cost; None unless all tiers' nodes and their prices are known."""
        if len(self.plans) < len(self.study.deployment.replicas):
            return None
        cost = usd_per_hour(nodes, self.prices)
        return None if cost is None else Decimal(cost)

    def usd_per_1000(self, nodes: Mapping[str, int], goodput: float) -> float | None:
        """Return what 1000 answers in time cost, at so many per second."""
        cost = self.usd_per_hour(nodes)
        return None if cost is None or not goodput else float(cost) / (3.6 * goodput)


def as_object(simulated: Simulated) -> str:
    """Return everything as one JSON object."""
    study, deployment = simulated.study, simulated.study.deployment
    nodes = nodes_of(deployment, simulated.plans)
    content = {
        "deployment": _deployment(deployment),
        "nodes": nodes,
        "usd_per_hour": _number(simulated.usd_per_hour(nodes)),
        "cells": study.cells,
        "seed": study.seed,
        "full_batch": study.engines.full,
        "arithmetic": {
            "per_second": _round(study.capacity()),
            "tiers": [
                {**asdict(tier), "per_second": tier.per_second} for tier in simulated.tiers if tier.share
            ],
        },
        "objective": simulated.objective,
        "points": [_point(simulated, point, nodes) for point in simulated.points],
        "knee": simulated.knee and _round(simulated.knee.per_second),
        "beyond_knee": simulated.beyond and _round(simulated.beyond.per_second),
        "headroom": simulated.headroom,
        "at_ease": simulated.at_ease and _point(simulated, simulated.at_ease, nodes),
        "sizes": [_size(simulated, size) for size in simulated.sizes()],
        "warnings": list(_warnings(simulated)),
    }
    return json.dumps(content, ensure_ascii=False)


def _deployment(deployment: Deployment) -> dict[str, Any]:
    return {"orchestrators": deployment.orchestrators, "replicas": dict(deployment.replicas)}


def _point(simulated: Simulated, point: Point, nodes: Mapping[str, int]) -> dict[str, Any]:
    figures = {
        "per_second": point.per_second,
        "goodput_per_second": point.goodput,
        "as_planned_per_second": point.goodput_as_planned,
        "degraded": point.degraded,
        "strong_share": point.strong_share,
        "usd_per_1000_answers": simulated.usd_per_1000(nodes, point.goodput),
        **{
            name: {key: _round(value) for key, value in asdict(getattr(point, name)).items()}
            for name in ("in_time", "as_planned", "p50_ms", "p99_ms")
        },
    }
    rounded = {key: _round(value) if isinstance(value, float) else value for key, value in figures.items()}
    return {**rounded, "counted": point.counted, "reasons": point.reasons}


def _size(simulated: Simulated, size: Size) -> dict[str, Any]:
    at_ease = simulated.at_ease
    goodput = size.per_second * at_ease.in_time.value if at_ease else 0.0
    return {
        "per_second": size.per_second,
        **_deployment(size.deployment),
        "nodes": dict(size.nodes),
        "usd_per_hour": _number(simulated.usd_per_hour(size.nodes)),
        "usd_per_1000_answers": simulated.usd_per_1000(size.nodes, goodput),
    }


def _round(value: float) -> float:
    return round(value, DIGITS)


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def as_text(simulated: Simulated) -> str:
    """Return tables, and sentences about the knee."""
    study, deployment = simulated.study, simulated.study.deployment
    nodes = nodes_of(deployment, simulated.plans)
    parts = [
        _described(simulated, nodes),
        "\n".join(aligned([_HEAD, *(_row(simulated, point, nodes) for point in simulated.points)], words=1)),
        _knee(simulated),
    ]
    sizes = [_size_row(simulated, size) for size in simulated.sizes()]
    if sizes:
        head = ("load/s", "orchestrators", *(f"{tier} replicas" for tier in deployment.replicas), *_SIZE_HEAD)
        kept = f"with {simulated.headroom:.0%} of the knee's load kept free"
        parts.append("\n".join([f"deployments for larger loads, {kept}:", *aligned([head, *sizes], words=0)]))
    parts += [f"note: {warning}" for warning in _warnings(simulated)]
    parts.append(
        f"95 % intervals; {study.requests} or more requests of one of {study.cells} cells simulated for each load. "
        "Latencies are those that the catalogue expects, not measurements: docs/operations/capacity.md"
    )
    return "\n\n".join(parts)


_HEAD: Final = (
    "load/s",
    "",
    "goodput/s",
    "as planned/s",
    "in time",
    "as planned",
    "[95 %]",
    "p50",
    "p99",
    "[95 %]",
    "Pro",
    "$/1000",
)
_SIZE_HEAD: Final = ("nodes", "$/hour", "$/1000")
_KNEE: Final = "← knee"


def _described(simulated: Simulated, nodes: Mapping[str, int]) -> str:
    deployment = simulated.study.deployment
    replicas = ", ".join(f"{count} × {tier}" for tier, count in deployment.replicas.items())
    cost = simulated.usd_per_hour(nodes)
    lines = [
        f"{deployment.orchestrators} × orchestrator, {replicas}"
        + (f" on {_listed(nodes)}" if nodes else "")
        + (f", {cost} US dollars per hour" if cost is not None else "")
    ]
    lines += [
        f"  by arithmetic {tier.tier} is full at {tier.per_second:.4g} requests/s: {tier.places} places ÷ "
        f"{tier.hold_seconds:.3g} s ÷ {tier.share:.1%} of the requests"
        for tier in simulated.tiers
        if tier.share
    ]
    return "\n".join(lines)


def _listed(nodes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} × {name}" for name, count in nodes.items())


def _row(simulated: Simulated, point: Point, nodes: Mapping[str, int]) -> tuple[str, ...]:
    cost = simulated.usd_per_1000(nodes, point.goodput)
    return (
        f"{point.per_second:.4g}",
        _KNEE if point is simulated.knee else "",
        f"{point.goodput:.4g}",
        f"{point.goodput_as_planned:.4g}",
        f"{point.in_time.value:.2%}",
        f"{point.as_planned.value:.2%}",
        f"{point.as_planned.low:.2%} … {point.as_planned.high:.2%}",
        _seconds(point.p50_ms.value),
        _seconds(point.p99_ms.value),
        _between(point.p99_ms),
        f"{point.strong_share:.1%}",
        "–" if cost is None else f"{cost:.4g}",
    )


def _seconds(ms: float) -> str:
    return f"{ms / 1000.0:.2f} s"


def _between(estimate: Estimate) -> str:
    return f"{_seconds(estimate.low)} … {_seconds(estimate.high)}"


def _knee(simulated: Simulated) -> str:
    goal = f"at least {simulated.objective:.4g} of the requests answered in time and as planned, with 95 % confidence"
    last, beyond = simulated.knee, simulated.beyond
    if last is None:
        return f"no knee: already the lowest load does not have {goal}"
    if beyond is None:
        return f"the knee is above {last.per_second:.4g} requests/s: all loads have {goal}; try higher ones with --rps"
    return (
        f"the knee is at {last.per_second:.4g} requests/s, {last.per_second / simulated.study.capacity():.0%} of what "
        f"arithmetic allows: the last load with {goal}; {beyond.per_second:.4g} is the first without"
    )


def _size_row(simulated: Simulated, size: Size) -> tuple[str, ...]:
    found = _size(simulated, size)
    cost, each = found["usd_per_hour"], found["usd_per_1000_answers"]
    return (
        f"{size.per_second:,.0f}",
        f"{size.deployment.orchestrators:,}",
        *(f"{count:,}" for count in size.deployment.replicas.values()),
        ", ".join(f"{count:,} × {name}" for name, count in size.nodes.items()) or "–",
        "–" if cost is None else f"{cost:,.2f}",
        "–" if each is None else f"{each:.4g}",
    )


def _warnings(simulated: Simulated) -> Iterator[str]:
    deployment = simulated.study.deployment
    if deployment.same_accelerators:
        yield (
            "all tiers lie on the same accelerators (shareAccelerators), and each is simulated as if it had its own: "
            "in truth they slow each other down, so less is answered than this says, and fewer nodes are needed"
        )
    for tier in deployment.replicas:
        places = deployment.places(tier)
        if deployment.orchestrators > places:
            yield (
                f"the replicas of {tier} compute {places} sequences at a time, and each of {deployment.orchestrators} "
                "orchestrators lets in one at least; take fewer orchestrators"
            )
