"""Would catch a chart that takes values of which Kubernetes or an engine would make half a release."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, MIDDLE, RELEASE, Refused, helm, named, of_kind, render

LONG = "abcdefghij-" * 4 + "abcdefghi"
NAMES = {
    "1st": "cannot be the name of a Service",
    "my.release": "cannot be the name of a Service",
    LONG: "",
}


@pytest.mark.parametrize(("release", "said"), NAMES.items())
def test_a_release_whose_services_could_not_be_made_is_refused(release: str, said: str) -> None:
    arguments = ("template", release, str(CHART), "--values", str(CHART / "values-cpu.yaml"))
    if said:
        with pytest.raises(Refused, match=f"{said}.*set fullnameOverride"):
            helm(*arguments)
        assert helm(*arguments, "--set", "fullnameOverride=ours")
    else:
        made = [each for each in yaml.safe_load_all(helm(*arguments)) if each]
        names = [each["metadata"]["name"] for each in of_kind(made, "Service")]
        assert max(map(len, names)) <= 63


WIDE = MIDDLE["tiers"]["middle"] | {
    "weights": {"source": "claim", "claim": "weights"},
    "parallel": {"tensor": 8, "pipeline": 2},
}


@pytest.mark.parametrize(
    ("tier", "replicas", "said"),
    [
        ("middle", 10, ""),
        ("middle-", 1, "does not match"),
        ("on", 1, "tiers"),
        ("a-tier-of-31-characters-as-it-is", 1, "and the name of a Service at most 63"),
        ("middle", 11, "and the name of a pod that leads a group at most 52"),
    ],
)
def test_a_tier_whose_objects_could_not_be_made_is_refused(tier: str, replicas: int, said: str) -> None:
    values = {
        "fullnameOverride": "a" * 37,
        "triton": {"engine": "vllm"},
        "tiers": {"r1": None, "pro": None, tier: WIDE | {"replicas": replicas}},
    }
    if said:
        with pytest.raises(Refused, match=said):
            render("", values)
    else:
        assert of_kind(render("", values), "LeaderWorkerSet")


@pytest.mark.parametrize(
    "values", [{"triton": {"replicas": 3}}, {"tiers": {"r1": {"triton": {"replicas": 3}}}}], ids=str
)
def test_one_value_says_how_many_tritons_a_tier_has(values: dict[str, Any]) -> None:
    """That which is counted when it is looked at whether the models fit."""
    with pytest.raises(Refused, match=r"dditional propert.*replicas"):
        render("", values)


def test_what_holds_for_all_pods_does_not_count_for_tritons() -> None:
    objects = render("", {"defaults": {"replicas": 2}, "tiers": {"r1": {"replicas": 3}}})
    assert named(objects, "Deployment", f"{RELEASE}-tandem-triton-r1")["spec"]["replicas"] == 3


def test_fewest_pods_are_not_more_than_most() -> None:
    scaling = {"enabled": True, "minReplicas": 4, "maxReplicas": 3}
    with pytest.raises(
        Refused, match=r"inference-pro\.autoscaling: minReplicas 4 is more than maxReplicas 3"
    ):
        render("", {"inference": {"autoscaling": scaling}})


@pytest.mark.parametrize(
    ("engine", "weights", "said"),
    [
        ("vllm", {"source": "none"}, "source is none, but its engine vllm serves a model"),
        ("llamacpp", {"source": "none"}, "source is none, but its engine llamacpp serves a model"),
        ("llamacpp", {"source": "claim", "claim": "w"}, r"fp16\.weights is empty: name the file"),
        ("vllm", {"source": "huggingFace"}, r"fp16\.weights is empty: name a model of the hub"),
    ],
    ids=str,
)
def test_an_engine_without_weights_is_refused(engine: str, weights: dict[str, str], said: str) -> None:
    with pytest.raises(Refused, match=rf"tiers\.pro\..*{said}"):
        render("", {"triton": {"engine": engine}, "tiers": {"pro": {"weights": weights}}})


def test_an_engine_of_one_node_is_not_spread() -> None:
    with pytest.raises(Refused, match="its engine simulator runs on one node"):
        render("", {"tiers": {"pro": {"parallel": {"tensor": 1, "pipeline": 2}}}})


def test_a_replica_over_several_nodes_is_not_scaled_by_itself() -> None:
    wide = WIDE | {"triton": {"autoscaling": {"enabled": True}}}
    with pytest.raises(Refused, match=r"tiers\.middle is spread over 2 nodes a replica, and is not scaled"):
        render("", {"triton": {"engine": "vllm"}, "tiers": {"r1": None, "pro": None, "middle": wide}})
