"""How far a score can be taken at its word: what was predicted against what came true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tandem.calibration.intervals import share_interval
from tandem.calibration.traffic import Scored

BINS: Final = 10
"""Of equal width."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The requests of similar scores."""

    requests: int
    predicted: float
    """Mean score."""
    right: float
    """Mean rightness of the cheap tier."""
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Predicted against right, for all requests whose outcome is known."""

    requests: int
    error: float
    """Expected calibration error: mean distance of predicted and right over the bins, weighted by their requests."""
    bins: tuple[Bin, ...]


def reliability(requests: Sequence[Scored]) -> Reliability | None:
    """Return it; None: no outcome of the cheap tier is known."""
    known = [(each.r1_suffices, each.r1_right) for each in requests if each.r1_right is not None]
    if not known:
        return None
    scores, right = np.array(known, dtype=np.float64).T
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = []
    for place in np.unique(places):
        inside = places == place
        count, mean = int(inside.sum()), float(right[inside].mean())
        interval = share_interval(round(mean * count), count)
        bins.append(Bin(count, float(scores[inside].mean()), mean, *interval))
    error = sum(each.requests * abs(each.predicted - each.right) for each in bins) / len(known)
    return Reliability(len(known), error, tuple(bins))


def draw(found: Reliability, title: str, file: Path) -> None:
    """Draw the reliability diagram.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - only where somebody wants to see it

    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", linewidth=1)
    predicted = [each.predicted for each in found.bins]
    right = [each.right for each in found.bins]
    errors = [[each.right - each.low for each in found.bins], [each.high - each.right for each in found.bins]]
    axes.errorbar(predicted, right, yerr=errors, marker="o", capsize=2)
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="probability that R1 suffices",
        ylabel="R1 was right",
        title=f"{title}: ECE {found.error:.3f}, n = {found.requests}",
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110, metadata={"Software": None})
