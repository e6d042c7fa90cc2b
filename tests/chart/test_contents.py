"""Would catch a chart whose documents the services refuse, or that says something else than the files it copies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.catalogue import Catalogue, load_catalogue
from tandem.orchestrator.policy import Policy, load_policy
from tests.chart.rendering import (
    CHART,
    EVERYTHING,
    HELM,
    MIDDLE,
    PROFILES,
    RELEASE,
    ROOT,
    SPREAD,
    Object,
    Refused,
    environment,
    helm,
    named,
    of_kind,
    pod_specs,
    render,
)


def documents(objects: list[Object], folder: Path) -> tuple[Catalogue, Policy]:
    """Read catalogue and policy of a release as the services do."""
    for name, text in named(objects, "ConfigMap", f"{RELEASE}-tandem-documents")["data"].items():
        (folder / name).write_text(text, encoding="utf-8")
    catalogue = load_catalogue(folder / "catalogue.yaml")
    return catalogue, load_policy(folder / "policy.yaml", catalogue)


@pytest.mark.parametrize("profile", ["", *PROFILES])
def test_helm_finds_nothing_wrong(profile: str) -> None:
    helm("lint", "--strict", str(CHART), *(["--values", str(CHART / profile)] if profile else []))


def test_the_shipped_policy_arrives_as_it_is(tmp_path: Path) -> None:
    """Helm reads YAML 1.1, where the key `on` of a fallback is a truth value."""
    catalogue, policy = documents(render(), tmp_path)
    assert policy == load_policy(ROOT / "deploy" / "policy.yaml", catalogue)
    assert len(policy.fallbacks) == 8


def test_the_policy_is_a_copy() -> None:
    assert (CHART / "files" / "policy.yaml").read_text() == (ROOT / "deploy" / "policy.yaml").read_text()


@pytest.mark.parametrize("profile", PROFILES)
def test_the_services_accept_the_documents_of_every_profile(profile: str, tmp_path: Path) -> None:
    objects = render(profile)
    catalogue, _ = documents(objects, tmp_path)
    orchestrator = next(spec for name, _, spec in pod_specs(objects) if name.endswith("-orchestrator"))
    assert (
        json.loads(environment(orchestrator["containers"][0])["TANDEM_ORCHESTRATOR_TIERS"]).keys()
        == catalogue.tiers.keys()
    )


def test_a_change_of_the_policy_keeps_the_rest(tmp_path: Path) -> None:
    fallbacks = [{"from": "pro", "on": "timeout", "to": ["r1"]}]
    changed = render("", {"policy": {"routing": {"threshold": 0.7}, "fallbacks": fallbacks}})
    _, policy = documents(changed, tmp_path)
    assert policy.routing.threshold == 0.7
    assert policy.routing.cheap == "r1"
    assert len(policy.fallbacks) == 1


def test_a_fraction_that_helm_made_a_text_of_is_refused(tmp_path: Path) -> None:
    """The orchestrators would refuse it and keep the old policy, which nobody sees who looks at Helm only."""
    template = ("template", RELEASE, str(CHART), "--show-only", "templates/documents.yaml")
    with pytest.raises(Refused, match=r"policy\.routing\.threshold is the text \"0\.9\".*--set-json 'policy"):
        helm(*template, "--set", "policy.routing.threshold=0.9")
    with pytest.raises(Refused, match=r"policy\.routing\.thresholds\[0\]\.threshold is the text \"\.6\""):
        render("", {"policy": {"routing": {"thresholds": [{"language": "zh", "threshold": ".6"}]}}})
    taken = helm(
        *template, "--set-json", "policy.routing.threshold=0.9", "--set", "policy.deadline.max_ms=90000"
    )
    _, policy = documents(list(yaml.safe_load_all(taken)), tmp_path)
    assert (policy.routing.threshold, policy.deadline.max_ms) == (0.9, 90_000)


@pytest.mark.parametrize(
    ("changes", "restarted"),
    [
        ({"policy": {"routing": {"threshold": 0.7}}}, set()),
        ({"tiers": {"r1": {"catalogue": {"price": {"output_usd_per_million_tokens": 9}}}}}, set()),
        ({"tiers": {"r1": {"variants": {"int8": {"latency": {"ttft_ms": 9}}}}}}, set()),
        ({"tiers": {"r1": {"variants": {"int8": None}}}}, {"triton-r1"}),
        (
            {"policy": {"deadline": {"max_ms": 90_000}}},
            {
                "orchestrator",
                "inference-r1",
                "inference-pro",
                "classifier",
                "fusion",
                "triton-r1",
                "triton-pro",
            },
        ),
    ],
    ids=["policy", "price", "speed", "variant", "longest deadline"],
)
def test_only_what_is_read_at_the_start_restarts_pods(
    changes: dict[str, object], restarted: set[str]
) -> None:
    """Kubernetes replaces the pods of a Deployment when its template changes."""

    def templates(objects: list[Object]) -> dict[str, object]:
        return {
            each["metadata"]["name"].removeprefix(f"{RELEASE}-tandem-"): each["spec"]["template"]
            for each in objects
            if each["kind"] == "Deployment"
        }

    before, after = templates(render()), templates(render("", changes))
    assert {name for name in before if before[name] != after[name]} == restarted


def test_a_third_tier_is_values_only(tmp_path: Path) -> None:
    objects = render("", MIDDLE)
    catalogue, _ = documents(objects, tmp_path)
    assert list(catalogue.tiers["middle"].variants) == ["fp16", "int8"], "the default variant is the first"
    made = {each["metadata"]["name"] for each in objects} - {each["metadata"]["name"] for each in render()}
    names = {name.removeprefix(f"{RELEASE}-tandem-") for name in made}
    assert names == {
        "inference-middle",
        "triton-middle",
        "orchestrator-to-inference-middle",
        "orchestrator-out-to-inference-middle",
        "inference-to-triton-middle",
        "inference-out-to-triton-middle",
    }
    triton = next(spec for name, _, spec in pod_specs(objects) if name.endswith("triton-middle"))
    assert {"--load-model=middle", "--load-model=middle-int8"} <= set(triton["containers"][0]["args"])


def test_a_default_variant_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match='defaultVariant is "bf16", which is none of its variants: fp16, int8'):
        render("", {"tiers": {"r1": {"defaultVariant": "bf16"}}})


def test_the_model_repository_is_that_of_the_deployment() -> None:
    """Models of the engine llamacpp have the tensors that deploy/triton has."""
    claim = {"weights": {"source": "claim", "claim": "weights"}}
    variants = {name: {"weights": f"{name}.gguf"} for name in ("fp16", "int8")}
    tiers = {"r1": {**claim, "variants": variants}, "pro": {**claim, "variants": {"fp16": variants["fp16"]}}}
    values = {"triton": {"engine": "llamacpp"}, "tiers": tiers}
    data = named(render("", values), "ConfigMap", f"{RELEASE}-tandem-triton-r1")["data"]
    shipped = ROOT / "deploy" / "triton" / "models"
    for model in ("r1", "r1-int8"):
        assert data[f"{model}.config.pbtxt"].split() == (shipped / model / "config.pbtxt").read_text().split()


def test_every_model_of_the_catalogue_is_loaded_and_has_its_files(tmp_path: Path) -> None:
    objects = render("", EVERYTHING)
    catalogue, _ = documents(objects, tmp_path)
    for name, tier in catalogue.tiers.items():
        models = [variant.model for variant in tier.variants.values()]
        spec = next(spec for pod, _, spec in pod_specs(objects) if pod.endswith(f"triton-{name}"))
        loaded = [
            word.partition("=")[2]
            for word in spec["containers"][0]["args"]
            if word.startswith("--load-model=")
        ]
        assert loaded == models
        (layout,) = (volume["configMap"] for volume in spec["volumes"] if volume["name"] == "layout")
        data = named(objects, "ConfigMap", layout["name"])["data"]
        assert [item["path"] for item in layout["items"]] == [
            f"{model}/{path}" for model in models for path in ("config.pbtxt", "1/model.json")
        ]
        assert {item["key"] for item in layout["items"]} == data.keys()


@pytest.mark.parametrize(
    "values",
    [
        {"colour": "red"},
        {"tiers": {"R1": MIDDLE["tiers"]["middle"]}},
        {"tiers": {"r1": {"variants": {"fp16": {"precision": "fp12"}}}}},
        {"tiers": {"r1": {"weights": {"source": "claim"}}}},
        {"triton": {"engine": "magic"}},
        {"orchestrator": {"replicas": "two"}},
    ],
    ids=lambda values: json.dumps(values)[:60],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="values don't meet the specifications"):
        render("", values)


def test_every_part_of_the_schema_is_closed() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def objects(node: Any) -> list[Any]:
        if isinstance(node, dict):
            return [
                *([node] if "properties" in node and "type" in node else []),
                *(each for value in node.values() for each in objects(value)),
            ]
        return [each for value in node for each in objects(value)] if isinstance(node, list) else []

    found = objects(schema)
    assert len(found) > 20
    assert [node for node in found if node["additionalProperties"] is not False] == []


def test_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert f'version = "{chart["appVersion"]}"' in (ROOT / "pyproject.toml").read_text()
    assert HELM.exists()


def test_two_replicas_have_a_budget_for_disruptions() -> None:
    budgets = {each["metadata"]["name"] for each in of_kind(render("", EVERYTHING), "PodDisruptionBudget")}
    assert {name.removeprefix(f"{RELEASE}-tandem-") for name in budgets} == {
        "orchestrator", "classifier", "fusion", "inference-r1", "inference-pro",
    }  # fmt: skip
    assert of_kind(render(), "PodDisruptionBudget") == []


def test_nothing_zero_and_false_count_as_said(tmp_path: Path) -> None:
    """Merging maps in templates easily takes them for not said."""
    said: dict[str, Any] = {
        "defaults": {"replicas": 2},
        "orchestrator": {"pdb": {"enabled": False}, "preStopSeconds": 0, "topologySpread": []},
        "tiers": {"r1": {"replicas": 0}},
        "policy": {"cache": {"entries": 0}},
    }
    objects = render("", said)
    _, policy = documents(objects, tmp_path)
    assert policy.cache.entries == 0
    assert f"{RELEASE}-tandem-orchestrator" not in {
        each["metadata"]["name"] for each in of_kind(objects, "PodDisruptionBudget")
    }
    spec = named(objects, "Deployment", f"{RELEASE}-tandem-orchestrator")["spec"]["template"]["spec"]
    assert "topologySpreadConstraints" not in spec
    assert "lifecycle" not in spec["containers"][0]
    assert named(objects, "Deployment", f"{RELEASE}-tandem-triton-r1")["spec"]["replicas"] == 0


def test_alerts_and_dashboards_are_those_of_the_deployment() -> None:
    objects = render(values={"monitoring": SPREAD["monitoring"]})
    rules = {
        each["metadata"]["name"].removeprefix("trial-tandem-"): each["spec"]["groups"]
        for each in of_kind(objects, "PrometheusRule")
    }
    folder = ROOT / "deploy" / "observability"
    for name in ("recording", "alerts"):
        text = (folder / "rules" / f"{name}.yaml").read_text(encoding="utf-8")
        shipped = yaml.safe_load(text.replace("docs/operations/runbooks/", "https://example.org/runbooks/"))
        assert rules[name] == shipped["groups"]
    (dashboards,) = (
        each for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"].endswith("-dashboards")
    )
    assert dashboards["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert {name: json.loads(text) for name, text in dashboards["data"].items()} == {
        file.name: json.loads(file.read_text(encoding="utf-8"))
        for file in (folder / "dashboards").glob("*.json")
    }


def test_every_alert_of_the_chart_leads_to_a_page() -> None:
    pages = ROOT / "docs" / "operations" / "runbooks"
    for each in of_kind(render(values={"monitoring": SPREAD["monitoring"]}), "PrometheusRule"):
        for rule in (rule for group in each["spec"]["groups"] for rule in group["rules"] if "alert" in rule):
            base, _, page = rule["annotations"]["runbook_url"].rpartition("/")
            assert base == "https://example.org/runbooks"
            assert (pages / page).is_file(), rule["alert"]


ON_DEMAND = {
    "tiers": {"r1": {"variants": {"int8": {"load": "on-demand", "loadMs": 5000, "idleSeconds": 60}}}}
}


def test_a_variant_on_demand_is_in_the_repository_and_not_loaded_at_the_start(tmp_path: Path) -> None:
    objects = render("", ON_DEMAND)
    catalogue, _ = documents(objects, tmp_path)
    int8, fp16 = (catalogue.tiers["r1"].variants[name] for name in ("int8", "fp16"))
    assert (int8.load, int8.load_ms, int8.idle_seconds) == ("on-demand", 5000, 60)
    assert fp16.load == "resident"
    triton = next(spec for name, _, spec in pod_specs(objects) if name.endswith("triton-r1"))
    loaded = [each for each in triton["containers"][0]["args"] if each.startswith("--load-model")]
    assert loaded == ["--load-model=r1"]
    assert "/layout/r1-int8" in triton["initContainers"][0]["command"]


@pytest.mark.parametrize("many", [{"replicas": 2}, {"triton": {"autoscaling": {"enabled": True}}}], ids=str)
def test_a_variant_on_demand_needs_one_triton(many: dict[str, object]) -> None:
    values = {"tiers": {"r1": ON_DEMAND["tiers"]["r1"] | many}}
    with pytest.raises(
        Refused, match=r"tiers\.r1\.variants\.int8 is loaded on demand, but the tier has several"
    ):
        render("", values)
