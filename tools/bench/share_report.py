"""How well a share was held: settled error, settling, oscillation, quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from share_replay import Routed
from share_traffic import Request

SETTLING: Final = 500
"""Requests after the start, and after a change at once, that settling may take."""
BAR: Final = 1.0
"""Points that the settled share may be off."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one scenario. Errors are points, hundredths of the requests."""

    scenario: str
    contender: str
    share: float
    """Of all requests."""
    settled_max: float
    """Largest error of the windows that begin SETTLING requests or more after a change and end before the next."""
    settled_p95: float
    """The error that 95 of 100 such windows do not exceed."""
    anywhere_max: float
    """Largest error of any window at all."""
    settling_requests: int | None
    """Longest time after a start or change until all windows that begin then are within the bar; None: never."""
    sign_changes: float
    """Of the error, per pair of neighbouring windows that do not overlap: 0.5 is chance, near 1 is oscillation."""
    threshold_spread: float
    """Standard deviation of the threshold within windows, the mean of all windows."""
    right: float
    """Rightness of the answers, percent."""
    lost: float
    """Of that, what the oracle has more, in points."""
    met: bool
    """Whether the settled error keeps to the bar."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What all contenders are measured on."""

    scenario: str
    requests: Sequence[Request]
    changes: Sequence[int]
    """Requests at which the mix changes at once, the start included."""
    target: float
    window: int

    def shares(self, routed: Routed) -> Array:
        """Return the share of each window, by the request that it begins with; shape (requests - window + 1,)."""
        sums = np.concatenate([[0], np.cumsum(routed.strong)])
        shares: Array = (sums[self.window :] - sums[: -self.window]) / self.window
        return shares

    def right(self, routed: Routed) -> float:
        """Return the rightness of the answers in percent."""
        pairs = zip(routed.strong, (each.question for each in self.requests), strict=True)
        return 100.0 * float(np.mean([q.pro_right if strong else q.r1_right for strong, q in pairs]))

    def row(self, contender: str, routed: Routed, oracle_right: float) -> Row:
        """Measure one contender."""
        errors = 100.0 * (self.shares(routed) - self.target)
        settled = np.abs(errors[self._settled(len(errors))])
        right = self.right(routed)
        apart = np.sign(errors[:: self.window])
        return Row(
            self.scenario,
            contender,
            float(routed.strong.mean()),
            float(settled.max()),
            float(np.percentile(settled, 95)),
            float(np.abs(errors).max()),
            self._settling(np.abs(errors)),
            float(np.mean(apart[1:] * apart[:-1] < 0)),
            self._spread(routed.threshold),
            right,
            oracle_right - right,
            bool(settled.max() <= BAR + 1e-9),
        )

    def _stretches(self, windows: int) -> list[tuple[int, int]]:
        """Return the windows that lie between two changes, as first and end."""
        ends = [change - self.window + 1 for change in self.changes[1:]]
        return list(zip(self.changes, [*ends, windows], strict=True))

    def _settled(self, windows: int) -> NDArray[np.bool_]:
        chosen = np.zeros(windows, dtype=bool)
        for first, end in self._stretches(windows):
            chosen[first + SETTLING : max(first, end)] = True
        return chosen

    def _settling(self, errors: Array) -> int | None:
        longest = 0
        for first, end in self._stretches(len(errors)):
            outside = np.flatnonzero(errors[first:end] > BAR + 1e-9)
            if not len(outside):
                continue
            if outside[-1] + 1 >= end - first:
                return None
            longest = max(longest, int(outside[-1]) + 1)
        return longest

    def _spread(self, threshold: Array) -> float:
        whole = len(threshold) // self.window * self.window
        return float(threshold[:whole].reshape(-1, self.window).std(axis=1).mean())


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    head = (
        "scenario",
        "contender",
        "share %",
        "settled max",
        "p95",
        "any max",
        "settling",
        "sign changes",
        "threshold sd",
        "right %",
        "lost",
    )
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        settling = "never" if row.settling_requests is None else str(row.settling_requests)
        cells = (
            row.scenario,
            row.contender,
            f"{100 * row.share:.2f}",
            f"{row.settled_max:.2f}",
            f"{row.settled_p95:.2f}",
            f"{row.anywhere_max:.2f}",
            settling,
            f"{row.sign_changes:.2f}",
            f"{row.threshold_spread:.3f}",
            f"{row.right:.2f}",
            f"{row.lost:+.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def as_object(rows: Sequence[Row], money: Sequence[Any] = (), **facts: Any) -> dict[str, Any]:
    """Return the rows as an object; `money` has those of share_money."""
    return {**facts, "rows": [asdict(row) for row in rows], "money": [asdict(row) for row in money]}
