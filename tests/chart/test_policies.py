"""Would catch a chart that Kubernetes refuses, or runs with more rights, connections or images than it needs."""

from __future__ import annotations

import itertools
import re
from typing import Any

import kubernetes_validate
import pytest

from tandem.cli.settings import settings_class, variable
from tandem.followed_file import POLL_SECONDS
from tandem.telemetry.settings import TracingSettings
from tandem.telemetry.trace import Sampling
from tests.chart import custom
from tests.chart.rendering import (
    EVERYTHING,
    FETCHED,
    MESHES,
    PROFILES,
    SPREAD,
    VERSIONS,
    Object,
    Refused,
    containers,
    environment,
    of_kind,
    pod_specs,
    render,
)

DNS_SECONDS = 5.0
"""CoreDNS lets its answers about Services be kept for so long."""

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "defaults": ("", {}),
    **{profile: (profile, {}) for profile in PROFILES},
    "everything": ("", EVERYTHING),
    "spread": ("", SPREAD),
    "fetched": ("", FETCHED),
    **{kind: ("", values) for kind, values in MESHES.items()},
    "nothing": (
        "",
        {
            "defaults": {"preStopSeconds": 0, "topologySpread": [], "pdb": {"enabled": False}},
            "networkPolicy": {"enabled": False},
            "tests": {"enabled": False},
            "serviceAccount": {"create": False},
        },
    ),
}
RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SERVICES = ["orchestrator", "classifier", "inference", "fusion"]


@pytest.fixture(params=CASES)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return render(*CASES[request.param])


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_of_kubernetes_accept_it(objects: list[Object], version: str) -> None:
    own = [each for each in objects if custom.own(each)]
    assert len(own) > 10
    for each in own:
        kubernetes_validate.validate(each, version, strict=True)


def test_nothing_needs_a_definition_of_its_own_unless_it_is_asked_for() -> None:
    assert all(custom.own(each) for each in render())
    found = {each["kind"] for each in render("", SPREAD) if not custom.own(each)}
    assert found == {"LeaderWorkerSet", "PrometheusRule", "ScaledObject", "ServiceMonitor"}


def test_a_wrong_object_would_be_refused() -> None:
    broken = {**render()[-1], "spec": {"replicas": "many"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            {**broken, "kind": "Deployment", "apiVersion": "apps/v1"}, "1.30", strict=True
        )


def test_every_pod_is_restricted(objects: list[Object]) -> None:
    """What the Pod Security Standard `restricted` asks, and a root folder that nobody writes."""
    for name, _, spec in pod_specs(objects):
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"], name
        assert pod["runAsUser"] > 0, name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}, name
        assert all(volume.keys() - {"name"} <= RESTRICTED_VOLUMES for volume in spec["volumes"]), name
        for container in containers(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert not any("hostPort" in port for port in container.get("ports", [])), name


def test_no_pod_has_a_token_or_variables_of_services(objects: list[Object]) -> None:
    for name, _, spec in pod_specs(objects):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name


def test_every_container_has_requests_and_limits(objects: list[Object]) -> None:
    for name, _, spec in pod_specs(objects):
        for container in containers(spec):
            for kind in ("requests", "limits"):
                assert {"cpu", "memory"} <= container["resources"][kind].keys(), (
                    name,
                    container["name"],
                    kind,
                )


def test_images_have_a_version_and_are_not_pulled_needlessly(objects: list[Object]) -> None:
    for name, _, spec in pod_specs(objects):
        for container in containers(spec):
            tag = container["image"].rpartition(":")[2]
            assert re.fullmatch(r"[0-9][\w.-]*", tag), (name, container["image"])
            assert container["imagePullPolicy"] == "IfNotPresent", name


def test_latest_is_refused() -> None:
    with pytest.raises(Refused, match=r"image\.tag"):
        render("", {"image": {"tag": "latest"}})


def test_whatever_is_mounted_is_a_volume_and_the_other_way_round(objects: list[Object]) -> None:
    for name, _, spec in pod_specs(objects):
        mounted = {mount["name"] for each in containers(spec) for mount in each["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}, name


def test_every_service_selects_a_pod_and_its_ports(objects: list[Object]) -> None:
    pods = [(metadata["labels"], spec) for _, metadata, spec in pod_specs(objects)]
    for service in of_kind(objects, "Service"):
        chosen = [spec for labels, spec in pods if service["spec"]["selector"].items() <= labels.items()]
        assert len(chosen) == 1, service["metadata"]["name"]
        (open_ports,) = [
            {
                port["name"]: port["containerPort"]
                for each in containers(spec)
                for port in each.get("ports", [])
            }
            for spec in chosen
        ]
        for port in service["spec"]["ports"]:
            assert open_ports[port["targetPort"]] == port["port"]
        assert "health" not in {port["name"] for port in service["spec"]["ports"]}, "it is for the kubelet"


def test_every_workload_selects_its_own_pods_and_no_others(objects: list[Object]) -> None:
    pods = {name: metadata["labels"] for name, metadata, _ in pod_specs(objects)}
    for each in of_kind(objects, "Deployment", "PodDisruptionBudget"):
        selector = each["spec"]["selector"]["matchLabels"].items()
        assert [name for name, labels in pods.items() if selector <= labels.items()] == [
            each["metadata"]["name"]
        ]


def test_every_name_is_unique_and_short_enough(objects: list[Object]) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)
    assert max(len(name) for _, name in names) <= 63


@pytest.mark.parametrize("service", SERVICES)
def test_the_chart_knows_every_setting_of_a_service_and_no_other(service: str) -> None:
    cls = settings_class(service)
    prefix = cls.model_config["env_prefix"]
    for _, metadata, spec in pod_specs(render("", EVERYTHING)):
        if metadata["labels"]["app.kubernetes.io/component"] == service:
            (container,) = spec["containers"]
            names = {name for name in environment(container) if name.startswith("TANDEM_")}
            assert names == {variable(cls, field) for field in cls.model_fields}
            break
    else:
        pytest.fail(f"no pod of {service}, whose variables begin with {prefix}")


def test_what_a_service_is_told_is_valid(objects: list[Object], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, metadata, spec in pod_specs(objects):
        service = metadata["labels"]["app.kubernetes.io/component"]
        if service not in SERVICES:
            continue
        given = {key: value for key, value in environment(spec["containers"][0]).items() if value}
        for key, value in given.items():
            monkeypatch.setenv(key, value)
        assert settings_class(service)().listen.startswith("0.0.0.0:"), name
        for key in given:
            monkeypatch.delenv(key)


def test_a_pod_may_end_later_than_the_longest_answer(objects: list[Object]) -> None:
    for name, _, spec in pod_specs(objects):
        for container in spec["containers"]:
            pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            given = environment(container)
            drains = [float(value) for key, value in given.items() if key.endswith("_DRAIN_SECONDS")]
            drains += [
                float(word.partition("=")[2])
                for word in container.get("args", [])
                if word.startswith("--exit-timeout")
            ]
            assert spec["terminationGracePeriodSeconds"] >= pause + max(drains, default=0) + 5, name


@pytest.mark.parametrize("profile", ["", *PROFILES])
def test_a_pod_goes_on_until_its_callers_know_of_others(profile: str) -> None:
    """The only pod of a Service is replaced: whoever calls it has to have found the new one before the old one ends."""
    serving = [
        (name, container)
        for name, metadata, spec in pod_specs(render(profile))
        if "helm.sh/hook" not in metadata.get("annotations", {})
        for container in spec["containers"]
        if "readinessProbe" in container
    ]
    assert serving
    for name, container in serving:
        assert container["lifecycle"]["preStop"]["sleep"]["seconds"] > DNS_SECONDS + POLL_SECONDS, name


def _selected(selector: dict[str, str], pods: dict[str, dict[str, str]]) -> set[str]:
    return {name for name, labels in pods.items() if selector.items() <= labels.items()}


def _edges(objects: list[Object], direction: str) -> set[tuple[str, str, int]]:
    """Return from whom to whom on which port the policies of one direction let connections through."""
    pods = {name: metadata["labels"] for name, metadata, _ in pod_specs(objects)}
    peers = {"Ingress": "from", "Egress": "to"}[direction]
    found = set()
    for policy in of_kind(objects, "NetworkPolicy"):
        own = _selected(policy["spec"]["podSelector"]["matchLabels"], pods)
        for rule in policy["spec"].get(direction.lower(), []):
            selectors = [
                peer["podSelector"].get("matchLabels")
                for peer in rule.get(peers, [])
                if "podSelector" in peer
            ]
            for mine, selector, port in itertools.product(own, filter(None, selectors), rule["ports"]):
                for theirs in _selected(selector, pods):
                    pair = (theirs, mine) if direction == "Ingress" else (mine, theirs)
                    found.add((*pair, port["port"]))
    return found


def _calls(objects: list[Object]) -> set[tuple[str, str, int]]:
    """Return who calls whom on which port, as the settings and the arguments of the containers say."""
    found = set()
    for name, _, spec in pod_specs(objects):
        words = [
            word for each in containers(spec) for word in [*environment(each).values(), *each.get("args", [])]
        ]
        for host, port in re.findall(
            r"(?:dns:///|^)(trial-tandem[\w-]*):(\d+)", "\n".join(words), re.MULTILINE
        ):
            found.add((name, "trial-tandem-orchestrator" if host == "trial-tandem" else host, int(port)))
    return found


def test_the_network_policies_let_through_what_is_called_and_nothing_else() -> None:
    objects = render("values-cpu.yaml")
    calls = _calls(objects)
    assert len(calls) == 7
    assert _edges(objects, "Ingress") == calls
    assert _edges(objects, "Egress") == calls


def test_without_a_policy_of_its_own_nothing_may_be_reached_but_dns() -> None:
    (default,) = (
        each for each in of_kind(render(), "NetworkPolicy") if each["metadata"]["name"].endswith("-default")
    )
    assert default["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in default["spec"]
    assert default["spec"]["egress"] == [
        {"ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]}
    ]
    selector = default["spec"]["podSelector"]["matchLabels"].items()
    assert all(selector <= metadata["labels"].items() for _, metadata, _ in pod_specs(render()))


def test_a_pod_that_need_not_wait_has_no_pause() -> None:
    """A pause of no seconds is refused by some versions of Kubernetes."""
    objects = render("", {"defaults": {"preStopSeconds": 0}})
    assert not any(
        "lifecycle" in container for _, _, spec in pod_specs(objects) for container in containers(spec)
    )


def test_who_lets_nobody_in_lets_nobody_in() -> None:
    """A rule of a NetworkPolicy with an empty list of sources lets in everybody."""
    for clients, rules in (([], None), ([{"podSelector": {}}], 1)):
        (policy,) = (
            each
            for each in of_kind(render("", {"networkPolicy": {"clients": clients}}), "NetworkPolicy")
            if each["metadata"]["name"].endswith("-clients")
        )
        assert "Ingress" in policy["spec"]["policyTypes"]
        assert (len(policy["spec"]["ingress"]) if rules else policy["spec"].get("ingress")) == rules


def test_a_rollout_may_take_as_long_as_what_its_pods_wait_for() -> None:
    """Kubernetes gives a Deployment ten minutes, and calls it failed then."""
    objects = render(
        "", {"triton": {"startSeconds": 900}, "tiers": {"pro": {"triton": {"startSeconds": 3000}}}}
    )
    granted = {
        each["metadata"]["name"].removeprefix("trial-tandem-"): each["spec"].get("progressDeadlineSeconds")
        for each in of_kind(objects, "Deployment")
    }
    assert granted == {
        "orchestrator": 3600, "inference-r1": 1500, "inference-pro": 3600, "triton-r1": 1500, "triton-pro": 3600,
        "classifier": None, "fusion": None,
    }  # fmt: skip


def test_the_pod_of_the_test_has_the_labels_of_all() -> None:
    (pod,) = of_kind(render("", EVERYTHING), "Pod")
    assert pod["metadata"]["labels"]["team"] == "a"
    assert pod["metadata"]["annotations"]["note"] == "b"


def test_one_thing_decides_about_replicas() -> None:
    """A Deployment that names replicas, and two scalers, undo each other's work."""
    for values, kind, others in (
        (EVERYTHING, "HorizontalPodAutoscaler", "ScaledObject"),
        (SPREAD, "ScaledObject", "HorizontalPodAutoscaler"),
    ):
        objects = render("", values)
        assert of_kind(objects, others) == []
        targets = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(objects, kind)}
        assert targets
        scaled = {
            each["metadata"]["name"]
            for each in of_kind(objects, "Deployment")
            if "replicas" not in each["spec"]
        }
        assert scaled == targets


def test_a_query_that_finds_nothing_is_no_zero() -> None:
    for scaled in of_kind(render("", SPREAD), "ScaledObject"):
        (trigger,) = scaled["spec"]["triggers"]
        assert trigger["metadata"] == {"query": "up", "threshold": "5", "ignoreNullValues": "false"}


def test_traces_go_where_the_values_say_and_nowhere_without(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = render("", EVERYTHING)
    for name, metadata, spec in pod_specs(objects):
        given = {k: v for k, v in environment(spec["containers"][0]).items() if k.startswith("OTEL_")}
        if metadata["labels"]["app.kubernetes.io/component"] not in SERVICES:
            assert not given, name
            continue
        # Headers come from a Secret, and are read by OpenTelemetry's SDK.
        assert given.pop("OTEL_EXPORTER_OTLP_HEADERS") == ""
        assert {key.lower() for key in given} <= set(TracingSettings.model_fields)
        for key, value in given.items():
            monkeypatch.setenv(key, value)
        settings = TracingSettings()
        assert settings.endpoint() == "http://collector.observability:4317"
        assert settings.sampling() == Sampling(0.01, follows_parent=False)
    (policy,) = (
        each for each in of_kind(objects, "NetworkPolicy") if each["metadata"]["name"].endswith("-traces")
    )
    assert policy["spec"]["egress"] == [
        {
            "ports": [{"port": 4317, "protocol": "TCP"}],
            "to": [{"namespaceSelector": {"matchLabels": {"name": "observability"}}}],
        }
    ]
    plain = render()
    assert not [
        each for each in of_kind(plain, "NetworkPolicy") if each["metadata"]["name"].endswith("-traces")
    ]
    assert "OTEL_" not in str(plain)


@pytest.mark.parametrize("endpoint", ["collector:4317", "http://collector", "ftp://collector:1"])
def test_an_endpoint_without_scheme_or_port_is_refused(endpoint: str) -> None:
    with pytest.raises(Refused, match=r"telemetry\.otlp\.endpoint"):
        render("", {"telemetry": {"otlp": {"endpoint": endpoint}}})
