"""Shows what an adapted artifact was measured to be, as a table or as an object."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tandem.training.classifier.own_measure import Measured


def as_object(measured: Measured, revision: str | None) -> dict[str, Any]:
    """Return all figures; `revision` is None where nothing was written."""
    return {
        "published": revision is not None,
        "revision": revision,
        "needed": measured.needed,
        "one of": list(measured.learned),
        "figures": [
            {**asdict(each), "better": each.better, "worse": each.worse} for each in measured.figures
        ],
    }


def table(measured: Measured) -> str:
    """Return the figures as lines of text.

    A star marks what must be better, a plus those of which one must be.
    """
    width = max(len(each.name) for each in measured.figures) + 2
    lines = [f"{'':{width}}{'rows':>6}{'before':>9}{'after':>9}  difference, 95 % interval"]
    for each in measured.figures:
        mark = " *" if each.name == measured.needed else " +" if each.name in measured.learned else ""
        said = "better" if each.better else "worse" if each.worse else "within noise"
        lines.append(
            f"{each.name + mark:{width}}{each.rows:6d}{each.before:9.4f}{each.after:9.4f}  "
            f"{each.after - each.before:+.4f} [{each.low:+.4f}, {each.high:+.4f}]  {said}"
        )
    return "\n".join(lines)
