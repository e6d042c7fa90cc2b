"""Panels and dashboards, and how Grafana wants them written.

In an expression `$namespace` is the deployment that the reader has chosen. `NAMESPACE` is its place among labels, and
`RATE` the time that a rate is taken over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

NAMESPACE: Final = 'namespace=~"$namespace"'
RATE: Final = "$__rate_interval"
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS: Final = 24
HEIGHT: Final = 8
SCHEMA: Final = 38
"""Of Grafana 9.4; later ones read it, too."""

Query = tuple[str, str]
"""An expression in PromQL, and the legend of what it gives."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel."""

    title: str
    about: str
    """What it shows, and what to make of it."""
    queries: Sequence[Query]
    unit: str = "short"
    """As Grafana names it: `s`, `reqps`, `percentunit`, `currencyUSD`, …"""
    kind: str = "timeseries"
    stacked: bool = False
    width: int = 8
    at_most: float | None = None
    """Above this it is red."""
    needs: str = ""
    """What only some deployments have: `gpu`. Empty: every one has it."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard."""

    uid: str
    title: str
    about: str
    rows: Sequence[tuple[str, Sequence[Panel]]]
    """Panels under their headings."""

    def panels(self) -> list[Panel]:
        """Return all its panels."""
        return [panel for _, panels in self.rows for panel in panels]


@dataclass(slots=True)
class _Grid:
    """Where the next panel goes."""

    identifier: int = 0
    x: int = 0
    y: int = 0
    made: list[dict[str, Any]] = field(default_factory=list)

    def heading(self, title: str) -> None:
        """Begin a row."""
        self._break()
        position = {"h": 1, "w": COLUMNS, "x": 0, "y": self.y}
        self._add({"type": "row", "title": title, "collapsed": False, "panels": []}, position)
        self.y += 1

    def panel(self, panel: Panel) -> None:
        """Place a panel."""
        if self.x + panel.width > COLUMNS:
            self._break()
        self._add(_panel(panel), {"h": HEIGHT, "w": panel.width, "x": self.x, "y": self.y})
        self.x += panel.width

    def _break(self) -> None:
        if self.x:
            self.x, self.y = 0, self.y + HEIGHT

    def _add(self, made: dict[str, Any], position: dict[str, int]) -> None:
        self.identifier += 1
        self.made.append({"id": self.identifier, **made, "gridPos": position})


def written(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as Grafana reads it."""
    grid = _Grid()
    for title, panels in dashboard.rows:
        grid.heading(title)
        for panel in panels:
            grid.panel(panel)
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["tandem"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {
                "type": "dashboards",
                "title": "Tandem",
                "tags": ["tandem"],
                "asDropdown": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": [_datasource(), _namespace()]},
        "panels": grid.made,
    }


def _panel(panel: Panel) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": DATASOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            for number, (expression, legend) in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
    }
    defaults = made["fieldConfig"]["defaults"]
    if panel.at_most is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.at_most}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "fillOpacity": 30 if panel.stacked else 5,
            "stacking": {"mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "off" if panel.at_most is None else "line"},
        }
        defaults["min"] = 0
        # Exemplars lead from a slow answer to its trace.
        for target in made["targets"]:
            target["exemplar"] = "_bucket" in target["expr"]
    return made


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _namespace() -> dict[str, Any]:
    query = "label_values(tandem_build_info, namespace)"
    return {
        "name": "namespace",
        "label": "Namespace",
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "namespace"},
        "refresh": 2,
        "includeAll": True,
        # Also where Prometheus gives no namespace.
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def rate(metric: str, *by: str, where: str = "") -> str:
    """Return the rate of a counter, summed by labels."""
    labels = ", ".join(filter(None, (NAMESPACE, where)))
    summed = f"sum by ({', '.join(by)})" if by else "sum"
    return f"{summed} (rate({metric}{{{labels}}}[{RATE}]))"


def quantile(part: float, histogram: str, *by: str, where: str = "") -> str:
    """Return a quantile of a histogram, by labels."""
    return f"histogram_quantile({part}, {rate(f'{histogram}_bucket', 'le', *by, where=where)})"


def gauge(metric: str, *by: str, how: str = "sum", where: str = "") -> str:
    """Return a gauge, added up (or whatever `how` says) by labels."""
    labels = ", ".join(filter(None, (NAMESPACE, where)))
    return f"{how} by ({', '.join(by)}) ({metric}{{{labels}}})" if by else f"{how} ({metric}{{{labels}}})"
