"""Would catch an object that a controller's definition does not accept: a misspelt field is dropped without a word."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from jsonschema import ValidationError

from tests.chart import custom
from tests.chart.rendering import EVERYTHING, PROFILES, SPREAD, Object, of_kind, render

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{profile: (profile, {}) for profile in PROFILES},
    "everything": ("", EVERYTHING),
    "spread": ("", SPREAD),
}


def others(objects: list[Object]) -> list[Object]:
    return [each for each in objects if not custom.own(each)]


@pytest.mark.parametrize("case", CASES)
def test_the_definitions_accept_what_is_rendered(case: str) -> None:
    for each in others(render(*CASES[case])):
        custom.validate(each)


def test_the_case_for_it_renders_all_of_them() -> None:
    found = {each["kind"] for each in others(render("", SPREAD))}
    assert {"LeaderWorkerSet", "PrometheusRule", "ScaledObject", "ServiceMonitor"} <= found


@pytest.mark.parametrize("kind", ["LeaderWorkerSet", "PrometheusRule", "ScaledObject", "ServiceMonitor"])
def test_a_field_too_many_and_a_wrong_type_are_refused(kind: str) -> None:
    rendered = of_kind(render("", SPREAD), kind)[0]
    for path, value in _leaves(rendered["spec"]):
        misspelt = copy.deepcopy(rendered)
        _at(misspelt["spec"], path[:-1])[f"{path[-1]}x"] = value
        with pytest.raises(ValidationError):
            custom.validate(misspelt)
    with pytest.raises(ValidationError):
        custom.validate({**rendered, "spec": "text"})


def _leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """Return the fields whose names a definition knows: not those of free maps, nor of pods."""
    if isinstance(node, dict):
        free = path and path[-1] in {"labels", "annotations", "matchLabels", "metadata", "template", "spec"}
        if free or path[-1:] in {("leaderTemplate",), ("workerTemplate",)}:
            return []
        return [
            found
            for key, value in node.items()
            for found in [((*path, key), value), *_leaves(value, (*path, key))]
        ]
    if isinstance(node, list):
        return [found for index, value in enumerate(node) for found in _leaves(value, (*path, index))]
    return []


def _at(node: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


EXAMPLES: list[Object] = [
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GRPCRoute",
        "metadata": {"name": "a"},
        "spec": {
            "parentRefs": [{"name": "gateway", "sectionName": "grpc"}],
            "hostnames": ["tandem.example.com"],
            "rules": [
                {
                    "matches": [{"method": {"service": "tandem.v1.OrchestratorService"}}],
                    "backendRefs": [{"name": "orchestrator", "port": 50051}],
                }
            ],
        },
    },
    {
        "apiVersion": "policy.linkerd.io/v1beta3",
        "kind": "Server",
        "metadata": {"name": "a"},
        "spec": {"podSelector": {"matchLabels": {"a": "b"}}, "port": "grpc", "proxyProtocol": "gRPC"},
    },
    {
        "apiVersion": "policy.linkerd.io/v1alpha1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "a"},
        "spec": {
            "targetRef": {"group": "policy.linkerd.io", "kind": "Server", "name": "a"},
            "requiredAuthenticationRefs": [{"kind": "ServiceAccount", "name": "a"}],
        },
    },
    {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "mtls": {"mode": "STRICT"}},
    },
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "a"},
        "spec": {"host": "a", "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}},
    },
    {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "a"},
        "spec": {"secretName": "a", "dnsNames": ["a"], "issuerRef": {"kind": "Issuer", "name": "a"}},
    },
]
"""One of each kind that meshes, gateways and issuers of certificates define, as their documentation has them."""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: str(each["kind"]))
def test_the_schemas_of_meshes_and_gateways_know_their_own(example: Object) -> None:
    custom.validate(example)
    assert not custom.own(example)
    with pytest.raises(ValidationError):
        custom.validate({**example, "spec": {**example["spec"], "colour": "red"}})
