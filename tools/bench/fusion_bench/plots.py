"""Pictures: calibration, abstention, and what right answers cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from fusion_bench.frontier import COSTS, Frontier
from fusion_bench.served import Told
from fusion_bench.voting import calibration_row
from reliability_plot import reliability_plot

SHOWN: Final = (
    "mmlupro, top 5",
    "mmlupro, all",
    "lexeval, top 3",
    "lexeval, all",
    "math_l5, all",
    "crux, all",
)


def draw(folder: Path, told: Mapping[str, Sequence[Told]], frontiers: Mapping[str, Frontier]) -> None:
    """Write the pictures into a folder, which is made if it is not there."""
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    shown = {name: told[name] for name in SHOWN if name in told}
    _reliability(folder / "fusion_reliability.png", shown)
    _risk(folder / "fusion_risk_coverage.png", shown)
    _frontier(folder / "fusion_frontier.png", frontiers)


def _reliability(file: Path, told: Mapping[str, Sequence[Told]]) -> None:
    rows = [calibration_row(name, found) for name, found in told.items()]
    lines = {
        f"{name}: ECE {row.value:.3f}": row.more["reliability"] for name, row in zip(told, rows, strict=True)
    }
    reliability_plot(file, lines, "expected correctness", "part that was right")


def _risk(file: Path, told: Mapping[str, Sequence[Told]]) -> None:
    figure, axis = plt.subplots(figsize=(7, 5))
    for name, found in told.items():
        right = np.concatenate([one.right for one in found])
        order = np.argsort(-np.concatenate([one.expected for one in found]), kind="stable")
        count = np.arange(1, len(right) + 1)
        axis.plot(100 * count / len(right), 100 * (1 - np.cumsum(right[order]) / count), label=name)
    axis.set(xlabel="questions answered, %", ylabel="wrong of these, %")
    axis.legend(fontsize=7)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _frontier(file: Path, frontiers: Mapping[str, Frontier]) -> None:
    figure, axes = plt.subplots(2, (len(frontiers) + 1) // 2, figsize=(14, 7), squeeze=False)
    for axis, (name, found) in zip(axes.flat, frontiers.items(), strict=False):
        for label, curves in (("routing alone", found.routed), ("cascade and vote", found.together)):
            axis.plot(
                COSTS, 100 * np.mean([curve.mean(axis=1) for curve in curves], axis=0), "o-", label=label
            )
        axis.set(title=name, xlabel="cost of a question (cheap voice: 1)", ylabel="right, %")
    for unused in axes.flat[len(frontiers) :]:
        unused.axis("off")
    axes.flat[0].legend()
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
