"""Would catch: Helm and `tandem plan` that do not say the same of a model on a machine, in the same words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.capacity.fitting import refusal
from tandem.capacity.nodes import NODES_FILE, load_nodes
from tandem.capacity.planning import Wish, plan
from tandem.capacity.shape import load_models
from tests.chart.rendering import CHART, PROFILES, Refused, render

pytestmark = pytest.mark.timeout(300)  # Helm computes for seconds, and for half a minute on a busy machine
MODELS = {name: model.shape for name, model in load_models().models.items()}
PRECISIONS = ("fp32", "bf16", "fp8", "int8", "int4")
# Tensor, pipeline, context, concurrency: some lie well, some not, some are too much.
ASKED = ((8, 1, 8192, 32), (1, 1, 2000, 1), (4, 2, 4096, 7), (2, 30, 131072, 100))


def tier(model: str, asked: tuple[int, int, int, int], variants: tuple[str, ...]) -> dict[str, Any]:
    tensor, pipeline, context, concurrency = asked
    shape = MODELS[model].model_dump(by_alias=True, exclude_defaults=True)
    return {
        "catalogue": {
            "modalities": ["text"],
            "price": {"input_usd_per_million_tokens": 1, "output_usd_per_million_tokens": 1},
            "chat_template": "smollm2",
        },
        "model": {"shape": shape},
        "weights": {"source": "claim", "claim": "weights"},
        "defaultVariant": variants[0],
        "variants": {
            name: {
                "precision": name,
                "context": context,
                "concurrency": concurrency,
                "latency": {"ttft_ms": 1, "tpot_ms": 1},
                "weights": "/weights/x",
            }
            for name in variants
        },
        "parallel": {"tensor": tensor, "pipeline": pipeline},
        "replicas": 1,
    }


def helm_says(values: Mapping[str, Any], words: str = "tier .+") -> list[str]:
    try:
        render("", values)
    except Refused as refused:
        return re.findall(rf"(?:^|: )({words})$", str(refused), re.MULTILINE)
    return []


def python_says(values: Mapping[str, Any], folder: Path) -> list[str]:
    file = folder / "values.yaml"
    file.write_text(json.dumps(values))
    planned = plan(Wish(values=[CHART / "values.yaml", file]))
    return planned.refusals


@pytest.mark.parametrize(("number", "node"), list(enumerate(load_nodes().nodes)))
def test_both_say_the_same(number: int, node: str, tmp_path: Path) -> None:
    """Each node meets a fifth of the grid, five nodes in turn all of it."""
    variants: list[tuple[str, ...]] = [*((each,) for each in PRECISIONS), ("bf16", "int8")]
    grid = [(model, asked, each) for model in sorted(MODELS) for asked in ASKED for each in variants]
    tiers = {f"t{place:03d}": tier(*each) for place, each in enumerate(grid[number % 5 :: 5])}
    values = {"node": node, "triton": {"engine": "vllm"}, "tiers": tiers}
    expected = python_says(values, tmp_path)
    assert 0 < len(expected) < len(tiers), "some fit, some do not"
    assert helm_says(values) == expected


def test_what_is_loaded_on_demand_needs_room_beside_the_rest(tmp_path: Path) -> None:
    """15.2 GB in bf16 and 8.2 GB in int8, 1.6 GB for each engine: either fits on 24 GB, both do not, in no order."""
    both = tier("deepseek-r1-distill-qwen-7b", (1, 1, 2048, 1), ("bf16", "int8"))
    both["variants"]["int8"]["load"] = "on-demand"
    values = {"node": "g5.xlarge", "triton": {"engine": "vllm"}, "tiers": {"big": both}}
    said = python_says(values, tmp_path)
    assert helm_says(values) == said
    (words,) = said
    assert "; int8 (on demand) weights " in words
    assert "only the variant bf16" in words


def test_helm_renders_what_python_lets_pass(tmp_path: Path) -> None:
    big = tier("deepseek-r1-distill-llama-70b", (8, 1, 8192, 16), ("bf16",))
    tiers = {"big": big, "r1": None, "pro": None}
    values = {"node": "p4d.24xlarge", "triton": {"engine": "vllm"}, "tiers": tiers}
    assert python_says(values, tmp_path) == []
    assert any(each["metadata"]["name"].endswith("triton-big") for each in render("", values))


@pytest.mark.parametrize(("model", "precision"), [("nemotron-4-340b", "bf16"), ("gpt-3-175b", "fp16")])
def test_helm_refuses_what_is_too_large(model: str, precision: str) -> None:
    tiers = {"big": tier(model, (8, 1, 2048, 1), (precision,))}
    with pytest.raises(
        Refused, match=r"tier big does not fit on p4d\.24xlarge: needs \d+\.\d{3} GB, has 309\.232 GB"
    ):
        render("", {"node": "p4d.24xlarge", "triton": {"engine": "vllm"}, "tiers": tiers})


@pytest.mark.parametrize("profile", PROFILES)
def test_the_profiles_fit(profile: str) -> None:
    planned = plan(Wish(values=[CHART / "values.yaml", CHART / profile]))
    assert [words for words in map(refusal, planned.tiers) if words] == []
    assert bool(planned.tiers) == ("cpu" not in profile), "those with GPUs are checked"


@pytest.mark.parametrize(
    ("concurrency", "words"),
    [
        (4, []),
        (
            128,
            [
                "the tiers pro, r1 do not fit together on jetson-agx-orin-32gb: need 24.388",
                " GB, have 24.000 GB usable (pro ",
                "; r1 ",
            ],
        ),
    ],
    ids=str,
)
def test_tiers_on_the_same_accelerator_must_fit_together(
    concurrency: int, words: list[str], tmp_path: Path
) -> None:
    """Pro alone needs 12.4 GB, and R1 4.6 GB with 4 sequences or 12.0 GB with 128; 24 GB are usable."""
    values = yaml.safe_load((CHART / "values-orin.yaml").read_text())
    values["tiers"]["r1"]["variants"]["int8"] |= {"concurrency": concurrency, "context": 2048}
    expected = python_says(values, tmp_path)
    assert helm_says(values, "the tiers .+") == expected
    assert bool(expected) == bool(words)
    assert all(each in expected[0] for each in words)


def test_a_tier_without_replicas_takes_no_room(tmp_path: Path) -> None:
    """Templates easily take nothing for not said."""
    values = yaml.safe_load((CHART / "values-orin.yaml").read_text())
    values["tiers"]["r1"]["variants"]["int8"] |= {"concurrency": 128, "context": 2048}
    values["tiers"]["r1"]["replicas"] = 0
    assert python_says(values, tmp_path) == []
    assert helm_says(values, "the tiers .+") == []


def test_the_orin_profile_is_one_node() -> None:
    planned = plan(Wish(values=[CHART / "values.yaml", CHART / "values-orin.yaml"]))
    assert planned.nodes == {"jetson-agx-orin-32gb": 1}
    assert planned.refusals == []


def test_the_charts_nodes_are_the_packages() -> None:
    assert (CHART / "files" / "nodes.yaml").read_bytes() == NODES_FILE.read_bytes()


def test_an_unknown_node_is_refused_by_helm_too() -> None:
    tiers = {"big": tier("gpt-3-175b", (8, 1, 2048, 1), ("int8",))}
    with pytest.raises(Refused, match=r"there is no type of node 'p4'; give one of a100-40gb, "):
        render("", {"node": "p4", "tiers": tiers})


def test_more_tokens_than_can_be_meant_are_refused_by_helm_too() -> None:
    tiers = {"big": tier("gpt-3-175b", (8, 1, 1_000_001, 1000), ("int8",))}
    said = "tier big: 1000 sequences of 1000001 tokens are more than 1000000000 tokens; lower one of them"
    with pytest.raises(Refused, match=said):
        render("", {"node": "p4d.24xlarge", "tiers": tiers})


@pytest.mark.parametrize("missing", ["parameters", "layers", "vocabulary", "kvHeads", "headSize"])
def test_a_shape_without_a_number_is_refused_by_the_schema(missing: str) -> None:
    broken = tier("gpt-3-175b", (8, 1, 2048, 1), ("int8",))
    del broken["model"]["shape"][missing]
    with pytest.raises(Refused, match="shape"):
        render("", {"node": "p4d.24xlarge", "tiers": {"big": broken}})


def test_nothing_is_checked_where_nothing_is_known() -> None:
    shapeless = tier("gpt-3-175b", (1, 1, 2048, 1), ("fp32",))
    nodeless = json.loads(json.dumps(shapeless))
    shapeless["model"]["shape"] = {}
    assert render("", {"node": "g5.xlarge", "tiers": {"big": shapeless}})
    assert render("", {"tiers": {"big": nodeless}})
