"""Would catch metrics that Prometheus does not find, may not read or reads twice, and a scaler on the wrong load."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tandem.telemetry.metric_names import METRICS
from tests.chart.rendering import EVERYTHING, Object, Refused, environment, of_kind, pod_specs, render

SERVICES = {"orchestrator", "classifier", "fusion", "inference"}
PORT = 9464
MONITORED: dict[str, Any] = {
    "monitoring": {"serviceMonitor": {"enabled": True}, "labels": {"release": "prometheus"}},
    "networkPolicy": {"metrics": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
}


def loaded(component: str = "triton", **more: Any) -> dict[str, Any]:
    """Return values that let a component of tier r1 scale on load."""
    return {"tiers": {"r1": {component: {"autoscaling": {"enabled": True, "signal": "load", **more}}}}}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector chooses these labels."""
    return selector["matchLabels"].items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )


def served(objects: list[Object]) -> dict[str, int]:
    """Return the ports at which pods serve metrics, by the pods' names."""
    return {
        name: port["containerPort"]
        for name, _, spec in pod_specs(objects)
        for port in spec["containers"][0].get("ports", [])
        if port["name"] == "metrics"
    }


def test_every_service_serves_metrics_where_its_setting_says() -> None:
    for name, metadata, spec in pod_specs(render()):
        if metadata["labels"]["app.kubernetes.io/component"] in SERVICES:
            given = [
                value
                for key, value in environment(spec["containers"][0]).items()
                if key.endswith("_METRICS_LISTEN")
            ]
            assert given == [f"0.0.0.0:{PORT}"], name
            assert served(render())[name] == PORT


def test_prometheus_finds_every_pod_once() -> None:
    objects = render("", MONITORED)
    monitors, services = of_kind(objects, "ServiceMonitor"), of_kind(objects, "Service")
    pods = {name: metadata["labels"] for name, metadata, _ in pod_specs(objects)}
    found: list[str] = []
    for monitor in monitors:
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        (endpoint,) = monitor["spec"]["endpoints"]
        for service in services:
            ports = {port["name"] for port in service["spec"]["ports"]}
            if not selects(monitor["spec"]["selector"], service["metadata"]["labels"]):
                continue
            if endpoint["port"] in ports:
                chosen = service["spec"]["selector"].items()
                found += [name for name, labels in pods.items() if chosen <= labels.items()]
    assert sorted(found) == sorted(served(objects))
    assert len(found) == 3 + 2 + 2  # three services, and inference and Triton of each tier


def test_whoever_reads_metrics_reaches_their_port_and_no_other() -> None:
    objects = render("", MONITORED)
    pods = {name: metadata["labels"] for name, metadata, _ in pod_specs(objects)}
    reached: dict[str, set[int]] = {}
    for policy in of_kind(objects, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            if MONITORED["networkPolicy"]["metrics"][0] in rule["from"]:
                for name, labels in pods.items():
                    if selects(policy["spec"]["podSelector"], labels):
                        reached.setdefault(name, set()).update(port["port"] for port in rule["ports"])
    assert reached == {name: {port} for name, port in served(objects).items()}


def test_a_prometheus_outside_of_istio_reaches_metrics_and_nothing_else() -> None:
    objects = render("", {**MONITORED, "mesh": {"kind": "istio"}})
    (rule,) = of_kind(objects, "PeerAuthentication")
    assert rule["spec"]["mtls"] == {"mode": "STRICT"}
    open_ports = {int(port): mode for port, mode in rule["spec"]["portLevelMtls"].items()}
    assert open_ports == {port: {"mode": "PERMISSIVE"} for port in served(objects).values()}
    (closed,) = of_kind(render("", {"mesh": {"kind": "istio"}}), "PeerAuthentication")
    assert "portLevelMtls" not in closed["spec"]


def test_metrics_can_be_left_out() -> None:
    objects = render("", {**MONITORED, "monitoring": {"metrics": False, "serviceMonitor": {"enabled": True}}})
    assert set(served(objects).values()) == {8002}
    assert not any(
        key.endswith("_METRICS_LISTEN")
        for _, _, spec in pod_specs(objects)
        for key in environment(spec["containers"][0])
    )
    (monitor,) = of_kind(objects, "ServiceMonitor")
    assert monitor["metadata"]["name"].endswith("-triton")
    assert all(
        port["port"] != PORT
        for policy in of_kind(objects, "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        for port in rule.get("ports", [])
    )


@pytest.mark.parametrize("component", ["triton", "inference"])
def test_keda_asks_for_the_load_of_the_tier(component: str) -> None:
    values = loaded(component, prometheus="http://prometheus:9090", targetLoadPercentage=50)
    objects = render("", values)
    assert of_kind(objects, "HorizontalPodAutoscaler") == []
    (scaled,) = of_kind(objects, "ScaledObject")
    assert scaled["spec"]["scaleTargetRef"] == {"name": f"trial-tandem-{component}-r1"}
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["type"] == "prometheus"
    metadata = trigger["metadata"]
    # Half of the 32 attempts that r1 bears at a time.
    assert (metadata["serverAddress"], metadata["threshold"]) == ("http://prometheus:9090", "16")
    assert metadata["ignoreNullValues"] == "false"
    (namespace,) = {each["metadata"]["namespace"] for each in objects}
    of = f'{{namespace="{namespace}", service="trial-tandem-orchestrator", tier="r1"}}'
    assert metadata["query"] == f"sum(tandem_in_flight{of}) + sum(tandem_queued{of})"
    assert "trial-tandem-orchestrator" in {each["metadata"]["name"] for each in of_kind(objects, "Service")}
    for name in re.findall(r"tandem_\w+", metadata["query"]):
        assert "tier" in METRICS[name].labels


def test_own_triggers_come_beside_the_load() -> None:
    own = {"type": "cron", "metadata": {"timezone": "UTC"}}
    (scaled,) = of_kind(
        render("", loaded(prometheus="http://prometheus:9090", triggers=[own])), "ScaledObject"
    )
    assert [trigger["type"] for trigger in scaled["spec"]["triggers"]] == ["prometheus", "cron"]
    assert scaled["spec"]["triggers"][1] == own


def test_without_keda_the_load_is_an_external_metric() -> None:
    objects = render("", loaded())
    assert of_kind(objects, "ScaledObject") == []
    (scaler,) = of_kind(objects, "HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    assert metric["type"] == "External"
    assert metric["external"]["metric"]["name"] == "tandem_load"
    assert metric["external"]["metric"]["selector"]["matchLabels"]["tier"] == "r1"
    # 70 in 100 of 32.
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": "22"}


def test_a_pod_is_never_aimed_at_no_load_at_all() -> None:
    values = loaded(prometheus="http://prometheus:9090", targetLoadPercentage=1)
    (scaled,) = of_kind(render("", values), "ScaledObject")
    assert scaled["spec"]["triggers"][0]["metadata"]["threshold"] == "1"


@pytest.mark.parametrize("component", ["orchestrator", "classifier", "fusion"])
def test_what_has_no_tier_has_no_load(component: str) -> None:
    with pytest.raises(
        Refused, match=rf"{component}\.autoscaling\.signal is load, but load is counted by tier"
    ):
        render("", {component: {"autoscaling": {"enabled": True, "signal": "load"}}})


@pytest.mark.parametrize(
    ("key", "value"), [("signal", "queue"), ("targetLoadPercentage", 0), ("prometheus", "prometheus:9090")]
)
def test_wrong_values_are_refused(key: str, value: Any) -> None:
    with pytest.raises(Refused, match=key):
        render("", loaded(**{key: value}))


def test_by_default_the_cpu_is_what_counts() -> None:
    for scaler in of_kind(render("", EVERYTHING), "HorizontalPodAutoscaler"):
        (metric,) = scaler["spec"]["metrics"]
        assert metric["resource"]["name"] == "cpu"
