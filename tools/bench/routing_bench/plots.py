"""Pictures of the curves, of calibration and of what labels are worth."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from reliability_plot import reliability_plot
from routing_bench.contenders import Measured
from routing_bench.protocol import curve, oracle
from routing_bench.row import Row


def draw(folder: Path, found: dict[str, Measured], rows: list[Row]) -> None:
    """Write the pictures of what was measured into a folder, which is made if it is not there."""
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    if found:
        _curves(folder / "routing_curves.png", found)
    if reliable := [row for row in rows if "reliability" in row.more]:
        _reliability(folder / "routing_reliability.png", reliable)
    if labels := [row for row in rows if row.name.endswith(" labels")]:
        _labels(folder / "routing_labels.png", labels)


def _curves(file: Path, found: dict[str, Measured]) -> None:
    figure, axes = plt.subplots(2, (len(found) + 1) // 2, figsize=(14, 7), squeeze=False)
    for axis, (name, measured) in zip(axes.flat, found.items(), strict=False):
        for label, outcome in (
            ("Tandem", measured.outcome),
            ("kNN", measured.outcome.scored(measured.neighbours)),
            ("oracle", oracle(measured.outcome)),
        ):
            drawn = curve(outcome, "exact")
            axis.plot(100 * drawn.share, drawn.quality, label=label)
        ends = float(measured.outcome.weak.mean()), float(measured.outcome.strong.mean())
        axis.plot((0, 100), ends, "--", color="grey", label="random")
        axis.set(title=name, xlabel="strong model's share, %", ylabel="quality")
    axes.flat[0].legend()
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _reliability(file: Path, rows: list[Row]) -> None:
    lines = {f"{row.name}: {row.value:.3f}": row.more["reliability"] for row in rows}
    reliability_plot(file, lines, "claimed chance that R1 is right", "part where it was")


def _labels(file: Path, rows: list[Row]) -> None:
    figure, axis = plt.subplots(figsize=(7, 5))
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        name, _, count = row.name.removesuffix(" labels").partition(", ")
        lines.setdefault(name, []).append((int(count.replace(",", "")), row.value))
    for name, points in lines.items():
        axis.plot(*zip(*sorted(points), strict=True), "o-", label=name)
    axis.set(xscale="log", xlabel="labels", ylabel="APGR")
    axis.legend()
    figure.savefig(file, dpi=110)
    plt.close(figure)
