"""Would catch a metric that is told and not named, named and not documented, or against Prometheus's practice."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tandem.telemetry import metric_names
from tandem.telemetry.metric_names import METRICS, Metric

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "operations" / "metrics.md").read_text(encoding="utf-8")
ROWS = {
    row.split("`")[1]: row
    for row in DOCUMENT.splitlines()
    if re.match(r"\| `[a-z0-9_]+` \| (counter|gauge|histogram|info) ", row)
}
UNITS = ("_seconds", "_ratio", "_usd", "_total", "_info")
ONCE = {
    "tandem_signal_complexity",
    "tandem_share_out_of_reach",
    "tandem_documents_refused",
    "tandem_in_flight",
    "tandem_queued",
    "tandem_concurrency_limit",
    "tandem_concurrency_limit_max",
    "tandem_instances",
    "tandem_sharers",
    "tandem_breaker_state",
    "tandem_cache_entries",
    "tandem_ledger_lag_entries",
    "tandem_rpc_in_flight",
    "tandem_variant_ready",
    "tandem_share_cost_target_usd",
    "gen_ai_client_token_usage",
}
"""Numbers without a unit, or whose name the conventions give."""


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_is_documented_with_its_meaning_and_its_use(metric: Metric) -> None:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
    row = ROWS[metric.name]
    assert row.startswith(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} | ")
    assert row.count("|") == 6
    assert row.split("|")[5].strip()


def test_the_documentation_names_no_metric_that_is_gone() -> None:
    assert set(ROWS) == set(METRICS)
    queries = re.findall(r"\b(?:tandem|gen_ai|grpc)_[a-z_]+[a-z](?=[{\s`\[)])", DOCUMENT)
    known = {f"{name}{end}" for name in METRICS for end in ("", "_bucket", "_sum", "_count")}
    labels = {label for metric in METRICS.values() for label in metric.labels}
    assert {name for name in queries if name not in known | labels} == set()


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_names_are_as_prometheus_wants_them(metric: Metric) -> None:
    assert re.fullmatch(r"(tandem|grpc_server|gen_ai)_[a-z0-9_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith("_info") == (metric.kind == "info")
    assert metric.name.endswith(UNITS) or metric.name in ONCE
    assert metric.help.endswith(".")
    assert len(set(metric.labels)) == len(metric.labels)
    assert not {"le", "quantile", "job", "instance"} & set(metric.labels)
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_every_name_is_used_and_every_metric_has_a_name() -> None:
    """Metrics are made by `telemetry.measures` alone, from what `metric_names` declares."""
    declared = {name for name, value in vars(metric_names).items() if isinstance(value, Metric)}
    used: set[str] = set()
    for file in (ROOT / "services" / "tandem").rglob("*.py"):
        if file.name in ("measures.py", "metric_names.py") or "v1" in file.parts:
            continue
        source = file.read_text(encoding="utf-8")
        assert not re.search(r"\b(Counter|Gauge|Histogram|Info|\w+)MetricFamily\(", source), file
        if "metric_names" not in source:
            continue
        used.update(
            node.attr
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "names"
        )
    assert declared - used == set()
    assert {name for name in used if not hasattr(metric_names, name)} == set()
