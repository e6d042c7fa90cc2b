"""Would catch a dashboard that is not as described, and a query or alert about a metric or label that is not there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tandem.telemetry.metric_names import METRICS
from tests.prometheus import OBSERVABILITY, groups

ROOT: Final = Path(__file__).parents[2]
DASHBOARDS: Final = sorted((OBSERVABILITY / "dashboards").glob("*.json"))
RECORDED: Final = {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}
# Of Prometheus, of the library that serves metrics, and of Triton.
OTHERS: Final = {
    "up",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "nv_gpu_utilization",
    "nv_gpu_memory_used_bytes",
    "nv_gpu_memory_total_bytes",
    "nv_gpu_power_usage",
}
ADDED: Final = {"namespace", "job", "instance", "le", "gpu_uuid"}
"""Labels that Prometheus adds, or that those others have."""


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    """Return every query of dashboards and rules."""
    loaded = [json.loads(file.read_text()) for file in DASHBOARDS]
    shown = [target["expr"] for each in loaded for panel in panels(each) for target in panel["targets"]]
    return shown + [rule["expr"] for group in groups() for rule in group["rules"]]


def test_they_are_as_described() -> None:
    checked = subprocess.run(
        [sys.executable, "tools/dashboards.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: str(file.stem))
def test_every_panel_says_what_it_shows_and_has_room(file: Path) -> None:
    dashboard = json.loads(file.read_text())
    assert dashboard["uid"] == file.stem
    for panel in panels(dashboard):
        assert panel["description"].endswith("."), panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"])
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "two panels lie on each other"
    assert max(x for x, _ in cells) < 24
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize("query", queries())
def test_a_query_is_about_metrics_and_labels_that_are_there(query: str) -> None:
    bare = re.sub(r'"[^"]*"', '""', query)
    listed = re.compile(r"\b(?:by|on|group_left)\s*\(([^)]*)\)")
    plain = listed.sub("", bare)
    named = set(re.findall(r"\b(?:tandem|nv|process|gen_ai|grpc)[a-z0-9_:]+", plain)) | set(
        re.findall(r"\bup\b", plain)
    )
    labels = set(ADDED)
    for name in named:
        if name in RECORDED:
            labels |= {"tier", "variant"}
        elif name not in OTHERS:
            metric = METRICS[name.removesuffix("_bucket")]
            assert (metric.kind == "histogram") == name.endswith("_bucket")
            labels |= set(metric.labels)
    asked = set(re.findall(r"([a-z_]+)\s*(?:=~|!=|!~|=)\s*\"\"", bare))
    for labels_of in listed.findall(bare):
        asked |= {label.strip() for label in labels_of.split(",") if label.strip()}
    assert named
    assert asked <= labels
