"""Draws the share of each window over a replay, for every contender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

from share_replay import Routed
from share_report import BAR, Replay

mpl.use("Agg")

COLUMNS: Final = 4
WIDTHS: Final = {"fixed threshold": 1.2, "oracle": 1.0, "live control": 1.8}
DOTS_PER_INCH: Final = 110


def plot(replays: Sequence[tuple[Replay, Mapping[str, Routed]]], path: Path) -> None:
    """Write a picture of the replays."""
    rows = -(-len(replays) // COLUMNS)
    figure = Figure(figsize=(3.6 * COLUMNS, 2.7 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for place, (replay, contenders) in zip(axes, replays, strict=False):
        for name, width in WIDTHS.items():
            place.plot(100.0 * replay.shares(contenders[name]), linewidth=width, label=name)
        target = 100.0 * replay.target
        place.axhspan(target - BAR, target + BAR, color="grey", alpha=0.25, linewidth=0)
        place.set_title(replay.scenario, fontsize="medium")
        place.set_ylim(0.0, 100.0 * min(1.0, 2.5 * replay.target))
    for place in axes[len(replays) :]:
        place.set_axis_off()
    window = replays[0][0].window
    figure.supxlabel(f"first of {window} requests", fontsize="medium")
    figure.supylabel("asked of the strong tier, %", fontsize="medium")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower right", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
