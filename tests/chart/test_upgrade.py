"""Would catch a chart that an installed release cannot be upgraded to with the values that it has.

`previous/VERSION` has what `tools/chart_version.py` kept of an earlier version.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import chart_version
from tests.chart.rendering import CHART, PROFILES

CASES = [
    (version.name, file.name)
    for version in sorted(chart_version.KEPT.iterdir())
    for file in sorted(version.glob("values*.yaml"))
]


@pytest.mark.parametrize(("version", "profile"), CASES)
def test_a_release_is_upgraded_with_the_values_that_it_has(version: str, profile: str) -> None:
    """As `helm upgrade --reset-then-reuse-values` does it: what is new has its default."""
    folder = chart_version.KEPT / version
    now = chart_version.fixed(chart_version.objects(CHART, chart_version.values_of(folder, profile)))
    before = json.loads((folder / "objects.json").read_text())[profile]
    assert before.keys() <= now.keys(), "an object of the release would be deleted"
    selectors = {name: selector for name, selector in before.items() if selector}
    assert {name: now[name] for name in selectors} == selectors
    assert len(selectors) == 7


def test_what_is_kept_is_what_the_chart_has_and_makes(tmp_path: Path) -> None:
    chart_version.keep(CHART, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"values.yaml", "objects.json", *PROFILES}
    kept = json.loads((tmp_path / "objects.json").read_text())
    assert kept.keys() == {"values.yaml", *PROFILES}
    assert kept["values.yaml"]["Deployment/trial-tandem-orchestrator"]["matchLabels"]
    assert kept["values.yaml"]["Service/trial-tandem"] is None
