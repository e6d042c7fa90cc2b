"""A reliability diagram: what was claimed over what was right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import pyplot as plt

Bin = Sequence[float]
"""Mean claim, part that was right, how many."""


def reliability_plot(file: Path, lines: Mapping[str, Sequence[Bin]], claim: str, truth: str) -> None:
    """Draw a line of bins for each label; `claim` and `truth` name the axes."""
    figure, axis = plt.subplots(figsize=(6, 6))
    axis.plot((0, 1), (0, 1), "--", color="grey")
    for label, bins in lines.items():
        claimed, right, _ = zip(*bins, strict=True)
        axis.plot(claimed, right, "o-", label=label)
    axis.set(xlabel=claim, ylabel=truth)
    axis.legend(fontsize=7)
    figure.savefig(file, dpi=110)
    plt.close(figure)
