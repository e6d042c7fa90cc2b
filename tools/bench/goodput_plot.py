"""Draws goodput: against the load where all is well, and answers in time where something fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from goodput_report import TANDEM, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

mpl.use("Agg")

SIZE_INCHES: Final = (11.0, 4.4)
DOTS_PER_INCH: Final = 110
HATCH: Final = "////"
HEALTHY: Final = "healthy"


def plot(rows: Sequence[Row], path: Path) -> None:
    """Write a picture of the rows."""
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 3])
    names = list(dict.fromkeys(row.contender for row in rows))
    _against_load(left, names, [row for row in rows if row.scenario.startswith(HEALTHY)])
    _by_fault(right, names, [row for row in rows if not row.scenario.startswith(HEALTHY)])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})


def _against_load(axes: Axes, names: Sequence[str], rows: Sequence[Row]) -> None:
    for name in names:
        own = sorted((row for row in rows if row.contender == name), key=lambda row: row.load)
        loads, goodput = [row.load for row in own], [row.outcome.goodput_per_second for row in own]
        whole = [
            row.outcome.goodput_per_second * (1.0 - row.outcome.cut / max(1, row.outcome.in_time))
            for row in own
        ]
        width = 2.5 if name == TANDEM else 1.2
        (line,) = axes.plot(loads, goodput, marker="o", markersize=3, linewidth=width, label=name)
        if name == TANDEM:
            axes.plot(loads, whole, linestyle="--", color=line.get_color(), label=f"{name}, answers not cut")
    axes.set(xlabel="load (1 = capacity)", ylabel="answers in time per second", title="Nothing fails")
    axes.set_ylim(bottom=0.0)
    axes.legend(fontsize="small", frameon=False)


def _by_fault(axes: Axes, names: Sequence[str], rows: Sequence[Row]) -> None:
    scenarios = list(dict.fromkeys(row.scenario for row in rows))
    width = 0.8 / len(names)
    for position, name in enumerate(names):
        own = [row for row in rows if row.contender == name]
        places = [scenarios.index(row.scenario) + position * width - 0.4 + width / 2 for row in own]
        shares = [100.0 * row.outcome.in_time / row.outcome.sent for row in own]
        bars = axes.bar(places, shares, width, label=name)
        if name == TANDEM:
            whole = [100.0 * (row.outcome.in_time - row.outcome.cut) / row.outcome.sent for row in own]
            color = bars.patches[0].get_facecolor()
            axes.bar(
                places,
                [a - b for a, b in zip(shares, whole, strict=True)],
                width,
                whole,
                hatch=HATCH,
                color=color,
                edgecolor="white",
            )
    axes.set_xticks(range(len(scenarios)), scenarios, rotation=20, ha="right")
    axes.set(ylabel="answers in time, %", title="Something fails")
    axes.set_ylim(0.0, 100.0)
    cut = Patch(facecolor="white", edgecolor="black", hatch=HATCH, label="of these cut short")
    axes.legend(handles=[cut], fontsize="small", loc="lower left")
