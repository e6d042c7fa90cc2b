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
        "deciding": list(measured.deciding),
        "figures": [
            {**asdict(each), "better": each.better, "worse": each.worse} for each in measured.figures
        ],
    }


def table(measured: Measured) -> str:
    """Return the figures as lines of text; a star marks those that must be better."""
    width = max(len(each.name) for each in measured.figures) + 2
    lines = [f"{'':{width}}{'rows':>6}{'before':>9}{'after':>9}  difference, 95 % interval"]
    for each in measured.figures:
        name = f"{each.name} *" if each.name in measured.deciding else each.name
        said = "better" if each.better else "worse" if each.worse else "within noise"
        lines.append(
            f"{name:{width}}{each.rows:6d}{each.before:9.4f}{each.after:9.4f}  "
            f"{each.after - each.before:+.4f} [{each.low:+.4f}, {each.high:+.4f}]  {said}"
        )
    return "\n".join(lines)
