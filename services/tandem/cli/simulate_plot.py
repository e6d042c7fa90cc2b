"""Draws what `tandem simulate` found: goodput and time to answer against the load, and the cost of larger loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from tandem.cli.simulate_report import Simulated

if TYPE_CHECKING:
    from matplotlib.axes import Axes

mpl.use("Agg")

SIZE_INCHES: Final = (13.0, 4.0)
DOTS_PER_INCH: Final = 90
STEPS: Final = 80
TICKS: Final = 6


def draw(simulated: Simulated, file: Path) -> None:
    """Write a picture."""
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _goodput(left, simulated)
    _times(middle, simulated)
    _cost(right, simulated)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=DOTS_PER_INCH, metadata={"Software": None})


def _goodput(axes: Axes, simulated: Simulated) -> None:
    points = simulated.points
    rates = [point.per_second for point in points]
    axes.plot(rates, rates, color="lightgrey", label="all of them")
    axes.plot(rates, [point.goodput for point in points], marker="o", markersize=3, label="in time")
    axes.plot(
        rates, [point.goodput_as_planned for point in points], marker="o", markersize=3, label="as planned"
    )
    low = [point.per_second * point.as_planned.low for point in points]
    high = [point.per_second * point.as_planned.high for point in points]
    axes.fill_between(rates, low, high, alpha=0.2, color="C1")
    _along_load(axes, simulated)
    axes.set(xlabel="requests per second", ylabel="answers per second", title="Goodput")
    axes.yaxis.set_major_formatter(EngFormatter())
    axes.set_ylim(bottom=0.0)
    axes.legend(fontsize="small", frameon=False)


def _times(axes: Axes, simulated: Simulated) -> None:
    points = simulated.points
    rates = [point.per_second for point in points]
    for name, estimates in (("p50", [p.p50_ms for p in points]), ("p99", [p.p99_ms for p in points])):
        axes.plot(rates, [each.value / 1000.0 for each in estimates], marker="o", markersize=3, label=name)
        low, high = ([getattr(each, end) / 1000.0 for each in estimates] for end in ("low", "high"))
        axes.fill_between(rates, low, high, alpha=0.2)
    _along_load(axes, simulated)
    axes.set(xlabel="requests per second", ylabel="seconds", title="Time to the answer, of those in time")
    axes.set_ylim(bottom=0.0)
    axes.legend(fontsize="small", frameon=False)


def _cost(axes: Axes, simulated: Simulated) -> None:
    """Draw dollars where they are known, else nodes, else replicas."""
    axes.set(xlabel="requests per second", title=f"What they need, {simulated.headroom:.0%} kept free")
    first = min(1.0, simulated.points[0].per_second)
    sizes = [
        size
        for rate in np.geomspace(first, simulated.grow_to, STEPS)
        if (size := simulated.size(float(rate))) is not None
    ]
    if not sizes:
        axes.set_axis_off()
        return
    costs = [simulated.usd_per_hour(size.nodes) for size in sizes]
    rates = [size.per_second for size in sizes]
    if all(cost is not None for cost in costs):
        axes.plot(rates, [float(cost or 0) for cost in costs])
        axes.set_ylabel("US dollars per hour")
    elif sizes[0].nodes:
        axes.plot(rates, [sum(size.nodes.values()) for size in sizes])
        axes.set_ylabel("nodes")
    else:
        axes.plot(rates, [sum(size.deployment.replicas.values()) for size in sizes])
        axes.set_ylabel("replicas of all tiers")
    axes.set(xscale="log", yscale="log")


def _along_load(axes: Axes, simulated: Simulated) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(TICKS))
    axes.xaxis.set_major_formatter(EngFormatter())
    if simulated.knee is not None:
        axes.axvline(simulated.knee.per_second, label="knee", color="black", linestyle=":", linewidth=1.2)
