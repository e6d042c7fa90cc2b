"""Would catch: a way in without a certificate, a mesh that repeats attempts or cuts answers off, probes that fail."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.rendering import (
    MESHES,
    Object,
    Refused,
    containers,
    environment,
    named,
    of_kind,
    pod_specs,
    render,
)
from tests.chart.test_policies import _calls, _edges

TLS: dict[str, Any] = {"tls": {"enabled": True}}
MANAGED: dict[str, Any] = {
    "tls": {
        "enabled": True,
        "certManager": {"enabled": True, "issuerRef": {"name": "ours"}, "dnsNames": ["tandem.example"]},
    }
}
HEALTH_PORT = 50050
METRICS_PORT = 9464
LONGEST_SECONDS = 600
SERVICES = {
    "trial-tandem-orchestrator": 50051,
    "trial-tandem-classifier": 50052,
    "trial-tandem-fusion": 50055,
    "trial-tandem-inference-r1": 50053,
    "trial-tandem-inference-pro": 50053,
}


def service_pods(objects: list[Object]) -> dict[str, Object]:
    """Return the specs of the pods of Tandem's own services."""
    return {name: spec for name, _, spec in pod_specs(objects) if name in SERVICES}


def settings(spec: Object) -> dict[str, str]:
    """Return the settings of a service without their prefix."""
    found = environment(spec["containers"][0])
    return {key.split("_", 2)[2]: value for key, value in found.items() if key.startswith("TANDEM_")}


# --- TLS by the services


def test_without_tls_nothing_is_said_of_it() -> None:
    for spec in service_pods(render()).values():
        assert not [key for key in settings(spec) if "TLS" in key or "HEALTH" in key]


def test_every_service_asks_for_certificates_and_the_orchestrator_shows_its_own() -> None:
    pods = service_pods(render("", TLS))
    assert pods.keys() == SERVICES.keys()
    for name, spec in pods.items():
        given = settings(spec)
        assert given["TLS_CERTIFICATE"] == "/etc/tandem-tls/tls.crt", name
        assert given["TLS_KEY"] == "/etc/tandem-tls/tls.key", name
        assert given["TLS_CLIENT_CA"] == "/etc/tandem-tls/ca.crt", name
        assert given.get("TLS_CA") == (
            "/etc/tandem-tls/ca.crt" if name == "trial-tandem-orchestrator" else None
        )


def test_clients_may_have_an_authority_of_their_own_or_no_certificate() -> None:
    own = {"tls": {"enabled": True, "clients": {"caSecret": "theirs"}}}
    spec = service_pods(render("", own))["trial-tandem-orchestrator"]
    assert settings(spec)["TLS_CLIENT_CA"] == "/etc/tandem-clients/ca.crt"
    (volume,) = (each for each in spec["volumes"] if each["name"] == "clients")
    assert volume["secret"]["secretName"] == "theirs"
    assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]

    pods = service_pods(render("", {"tls": {"enabled": True, "clients": {"certificates": False}}}))
    without = [name for name, spec in pods.items() if "TLS_CLIENT_CA" not in settings(spec)]
    assert without == ["trial-tandem-orchestrator"]


@pytest.mark.parametrize("values", [TLS, MANAGED])
def test_certificates_are_mounted_read_only_and_only_for_the_group(values: dict[str, Any]) -> None:
    for name, spec in service_pods(render("", values)).items():
        (volume,) = (each for each in spec["volumes"] if each["name"] == "tls")
        assert volume["secret"] == {"secretName": f"{name}-tls", "defaultMode": 0o440}
        (mount,) = (each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "tls")
        assert mount == {"name": "tls", "mountPath": "/etc/tandem-tls", "readOnly": True}


def test_one_secret_may_serve_all() -> None:
    objects = render("", {"tls": {"enabled": True, "existingSecret": "shared"}})
    for _, metadata, spec in pod_specs(objects):
        if metadata["labels"]["app.kubernetes.io/component"] != "triton":
            (volume,) = (each for each in spec["volumes"] if each["name"] == "tls")
            assert volume["secret"]["secretName"] == "shared"


def test_a_certificate_has_the_names_by_which_its_service_is_called() -> None:
    objects = render("", MANAGED)
    made = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "Certificate")}
    assert made.keys() == {*SERVICES, "trial-tandem-test"}
    calls = _calls(objects)
    for _, callee, port in calls:
        if port != 8001:
            assert callee in made[callee]["dnsNames"]
    orchestrator = made["trial-tandem-orchestrator"]
    assert {"trial-tandem", "tandem.example", "trial-tandem.serving.svc"} <= set(orchestrator["dnsNames"])
    assert orchestrator["usages"] == ["server auth", "client auth"]
    assert made["trial-tandem-fusion"]["usages"] == ["server auth"]
    assert made["trial-tandem-test"]["usages"] == ["client auth"]
    secrets = {
        volume["secret"]["secretName"]
        for _, _, spec in pod_specs(objects)
        for volume in spec["volumes"]
        if volume["name"] == "tls"
    }
    assert secrets == {spec["secretName"] for spec in made.values()}


def test_helm_test_shows_a_certificate() -> None:
    spec = named(render("values-cpu.yaml", TLS), "Pod", "trial-tandem-test")["spec"]
    for container in containers(spec):
        given = environment(container)
        assert given["TANDEM_CA"] == "/etc/tandem-tls/ca.crt"
        assert {"TANDEM_CERT", "TANDEM_KEY"} <= given.keys()
        assert {"name": "tls", "mountPath": "/etc/tandem-tls", "readOnly": True} in container["volumeMounts"]


@pytest.mark.parametrize("values", [TLS, *MESHES.values()])
def test_probes_ask_a_port_that_needs_no_certificate(values: dict[str, Any]) -> None:
    for name, spec in service_pods(render("", values)).items():
        (container,) = spec["containers"]
        assert settings(spec)["HEALTH_LISTEN"] == f"0.0.0.0:{HEALTH_PORT}"
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports == {"grpc": SERVICES[name], "health": HEALTH_PORT, "metrics": METRICS_PORT}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["grpc"]["port"] == HEALTH_PORT


def test_certificates_change_nothing_about_who_may_talk_to_whom() -> None:
    assert _edges(render("values-cpu.yaml", TLS), "Ingress") == _edges(render("values-cpu.yaml"), "Ingress")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({**TLS, "mesh": {"kind": "istio"}}, "in a mesh the mesh does mTLS"),
        ({"tls": {**MANAGED["tls"], "existingSecret": "x"}}, "either made or there"),
        ({"tls": {"enabled": True, "certManager": {"enabled": True}}}, "name is required"),
        ({"gateway": {"enabled": True}}, "parentRefs"),
        ({"mesh": {"kind": "consul"}}, r"mesh\.kind"),
    ],
)
def test_what_contradicts_itself_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        render("", values)


# --- in a mesh


def test_every_pod_has_a_sidecar_that_starts_first_and_ends_last() -> None:
    for _, metadata, _ in pod_specs(render("", MESHES["istio"])):
        assert metadata["labels"]["sidecar.istio.io/inject"] == "true"
        assert metadata["annotations"]["sidecar.istio.io/nativeSidecar"] == "true"
        assert metadata["annotations"]["traffic.sidecar.istio.io/excludeInboundPorts"] == str(HEALTH_PORT)
    for _, metadata, _ in pod_specs(render("", MESHES["linkerd"])):
        assert metadata["annotations"]["linkerd.io/inject"] == "enabled"
        assert metadata["annotations"]["config.beta.linkerd.io/proxy-enable-native-sidecar"] == "true"
        assert metadata["annotations"]["config.linkerd.io/skip-inbound-ports"] == str(HEALTH_PORT)


def test_istio_takes_mtls_only_repeats_nothing_and_cuts_nothing_off() -> None:
    objects = render("", MESHES["istio"])
    (peers,) = of_kind(objects, "PeerAuthentication")
    assert peers["spec"]["mtls"] == {"mode": "STRICT"}
    chosen = peers["spec"]["selector"]["matchLabels"].items()
    assert all(chosen <= metadata["labels"].items() for _, metadata, _ in pod_specs(objects))

    hosts = {
        f"{each['metadata']['name']}.serving.svc.cluster.local": each["spec"]["ports"]
        for each in of_kind(objects, "Service")
    }
    rules = {each["spec"]["host"]: each["spec"] for each in of_kind(objects, "DestinationRule")}
    routes = {each["spec"]["hosts"][0]: each["spec"] for each in of_kind(objects, "VirtualService")}
    assert rules.keys() == routes.keys() == hosts.keys()
    for host, ports in hosts.items():
        assert rules[host]["trafficPolicy"]["tls"] == {"mode": "ISTIO_MUTUAL"}
        (route,) = routes[host]["http"]
        assert route["retries"] == {"attempts": 0}
        (to,) = route["route"]
        assert to["destination"]["host"] == host
        assert to["destination"]["port"]["number"] in {port["port"] for port in ports}
        seconds = int(route["timeout"].removesuffix("s"))
        assert seconds == 0 if "-triton-" in host else seconds > LONGEST_SECONDS


def test_the_mesh_cuts_off_later_when_answers_may_take_longer() -> None:
    objects = render("", {**MESHES["istio"], "policy": {"deadline": {"max_ms": 1_800_000}}})
    route = named(objects, "VirtualService", "trial-tandem-orchestrator")["spec"]["http"][0]
    assert int(route["timeout"].removesuffix("s")) > 1800


def test_linkerd_lets_nobody_in_without_an_identity() -> None:
    objects = render("", MESHES["linkerd"])
    servers = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "Server")}
    assert servers.keys() == {*SERVICES, "trial-tandem-triton-r1", "trial-tandem-triton-pro"}
    assert all(spec["accessPolicy"] == "deny" for spec in servers.values())
    allowed = {each["spec"]["targetRef"]["name"] for each in of_kind(objects, "AuthorizationPolicy")}
    assert allowed == servers.keys()
    pods = {name: metadata["labels"] for name, metadata, _ in pod_specs(objects)}
    for name, spec in servers.items():
        selector = spec["podSelector"]["matchLabels"].items()
        assert [pod for pod, labels in pods.items() if selector <= labels.items()] == [name]
    assert not of_kind(objects, "HTTPRoute", "GRPCRoute")
    for service in of_kind(objects, "Service"):
        assert not service["metadata"].get("annotations"), "retry.linkerd.io would repeat attempts"


@pytest.mark.parametrize("kind", MESHES)
def test_clients_outside_of_the_mesh_are_let_in_on_demand_and_only_to_the_orchestrator(kind: str) -> None:
    objects = render("", {"mesh": {"kind": kind, "permissive": True}})
    if kind == "istio":
        rules = of_kind(objects, "PeerAuthentication")
        loose = [each for each in rules if each["spec"]["mtls"]["mode"] != "STRICT"]
        for name, metadata, _ in pod_specs(objects):
            about = [
                each["metadata"]["name"]
                for each in rules
                if each["spec"]["selector"]["matchLabels"].items() <= metadata["labels"].items()
            ]
            # Of several Istio takes the oldest, whatever it says. Nobody calls the pod of the test.
            assert len(about) == (0 if name.endswith("-test") else 1), (name, about)
    else:
        loose = [each for each in of_kind(objects, "Server") if each["spec"]["accessPolicy"] != "deny"]
    assert [each["metadata"]["name"] for each in loose] == ["trial-tandem-orchestrator"]


@pytest.mark.parametrize(
    ("kind", "namespace", "ports"),
    [("istio", "istio-system", [15012]), ("linkerd", "linkerd", [8080, 8086, 8090])],
)
def test_sidecars_reach_their_control_plane(kind: str, namespace: str, ports: list[int]) -> None:
    policy = named(render("", MESHES[kind]), "NetworkPolicy", "trial-tandem-mesh")["spec"]
    (rule,) = policy["egress"]
    (to,) = rule["to"]
    assert to["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": namespace}
    assert [port["port"] for port in rule["ports"]] == ports


@pytest.mark.parametrize(("kind", "more"), [("istio", set()), ("linkerd", {4143})])
def test_the_calls_are_the_same_in_a_mesh(kind: str, more: set[int]) -> None:
    """Linkerd's sidecars also speak to each other on a port of their own."""
    objects = render("values-cpu.yaml", MESHES[kind])
    calls = _calls(objects)
    wanted = calls | {(caller, callee, port) for caller, callee, _ in calls for port in more}
    assert _edges(objects, "Ingress") == wanted
    assert _edges(objects, "Egress") == wanted


# --- from outside


def test_a_route_leads_to_the_orchestrator_and_to_nothing_but_the_api() -> None:
    values = {
        "gateway": {"enabled": True, "parentRefs": [{"name": "front"}], "hostnames": ["tandem.example"]}
    }
    objects = render("", values)
    (route,) = of_kind(objects, "GRPCRoute")
    (rule,) = route["spec"]["rules"]
    assert {match["method"]["service"] for match in rule["matches"]} == {
        "tandem.v1.OrchestratorService",
        "grpc.health.v1.Health",
    }
    (backend,) = rule["backendRefs"]
    service = named(objects, "Service", backend["name"])
    assert [port["port"] for port in service["spec"]["ports"]] == [backend["port"]]
    assert service["spec"]["selector"]["app.kubernetes.io/component"] == "orchestrator"


@pytest.mark.parametrize(("values", "protocol"), [({}, "kubernetes.io/h2c"), (TLS, "https")])
def test_a_gateway_is_told_how_to_speak(values: dict[str, Any], protocol: str) -> None:
    objects = render("", values)
    for name in SERVICES:
        ports = {port["name"]: port for port in named(objects, "Service", name)["spec"]["ports"]}
        assert ports["grpc"]["appProtocol"] == protocol
        assert ports["metrics"]["appProtocol"] == "http"
