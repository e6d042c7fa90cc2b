"""Would catch: a plan that says yes to what does not fit, a wrong exit status, values merged otherwise than by Helm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tandem.cli.app import app

CATALOGUE = Path(__file__).parents[2] / "deploy" / "catalogue.yaml"
CHART = Path(__file__).parents[2] / "helm" / "tandem"
VALUES = """
node: p4d.24xlarge
image: {repository: not of interest here}
tiers:
  r1:
    model:
      shape: {parameters: 32763876352, layers: 64, hiddenSize: 5120, heads: 40, kvHeads: 8, headSize: 128,
              vocabulary: 152064}
    variants:
      bf16: {precision: bf16, context: 8192, concurrency: 10, latency: {ttft_ms: 250, tpot_ms: 20}}
    parallel: {tensor: 4, pipeline: 1}
    replicas: 2
  pro:
    model: {shape: {}}
    variants:
      fp16: {precision: fp16, context: 8192, concurrency: 10}
"""


def run(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def planned(*arguments: str | Path | int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json").stdout)
    return found


@pytest.fixture
def values(tmp_path: Path) -> Path:
    file = tmp_path / "values.yaml"
    file.write_text(VALUES)
    return file


def test_values_that_fit(values: Path) -> None:
    result = run("--values", values, "--price", "p4d.24xlarge=20.5")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "tier r1 on p4d.24xlarge (8 × NVIDIA A100 40 GB): tensor 4, pipeline 1"
    assert "16.382 GB   5.369 GB     0.678 GB  1.611 GB  24.040 GB" in lines[2].replace("  5.369", "   5.369")
    assert "a GPU needs 24.040 GB and has 38.654 GB usable, 90 % of 42.949 GB: fits" in lines
    assert "replicas: 2 wanted; a node holds 2" in lines
    assert "tier pro: not checked, the shape of its model is not given" in lines
    assert "all replicas: 1 × p4d.24xlarge, 20.50 US dollars per hour" in lines


def test_the_sum_of_a_row_is_exact(values: Path) -> None:
    (variant,) = planned("--values", values)["tiers"][0]["variants"]
    parts = ("weights_mb", "kv_cache_mb", "activations_mb", "runtime_mb")
    assert sum(variant[part] for part in parts) == planned("--values", values)["tiers"][0]["needs_mb"]


def test_later_values_win_and_null_removes(values: Path, tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text(
        "tiers: {pro: null, r1: {variants: {bf16: null, int8: {precision: int8, context: 10, concurrency: 1}}}}"
    )
    found = planned("--values", values, "--values", over)
    assert [variant["variant"] for variant in found["tiers"][0]["variants"]] == ["int8"]
    assert found["not_checked"] == []


def test_options_win_over_values(values: Path) -> None:
    found = planned(
        "--values", values, "--node", "p5.48xlarge", "--context", 4096, "--concurrency", 3, "--tensor", 8
    )
    tier = found["tiers"][0]
    assert (tier["node"], tier["tensor"]) == ("p5.48xlarge", 8)
    assert (tier["variants"][0]["context"], tier["variants"][0]["concurrency"]) == (4096, 3)


@pytest.mark.parametrize(("model", "precision"), [("nemotron-4-340b", "bf16"), ("gpt-3-175b", "fp16")])
def test_what_is_too_large_is_refused(model: str, precision: str) -> None:
    result = run("--model", model, "--precision", precision, "--node", "p4d.24xlarge")
    assert result.exit_code == 1
    assert "tier model does not fit on p4d.24xlarge: needs " in result.stdout
    found = planned("--model", model, "--precision", precision, "--node", "p4d.24xlarge")
    assert not found["ok"]
    assert found["tiers"][0]["would_fit"]


def test_a_catalogue_with_a_model_for_each_tier() -> None:
    config = Path(__file__).parents[1] / "testdata" / "models" / "deepseek-r1-distill-qwen-7b.json"
    found = planned(
        "--catalogue", CATALOGUE, "--node", "h100-80gb", "--model", f"r1={config}", "--model", "gpt-3-175b"
    )
    assert [(tier["tier"], tier["fits"]) for tier in found["tiers"]] == [("r1", True), ("pro", False)]
    assert [variant["precision"] for variant in found["tiers"][0]["variants"]] == ["fp16", "int8"]


def test_a_profile_of_the_chart_is_laid_over_its_values() -> None:
    alone = run("--values", CHART / "values-cpu-model.yaml", "--node", "p4d.24xlarge")
    assert (alone.exit_code, alone.stderr) == (0, "")
    both = run("--values", CHART / "values.yaml", "--values", CHART / "values-p4d.yaml", "--json")
    assert run("--values", CHART / "values-p4d.yaml", "--json").stdout == both.stdout


def test_no_nodes_are_counted_where_no_number_would_do(values: Path) -> None:
    """16 GPUs of one node are more than it has, so that it holds no replica."""
    found = planned("--values", values, "--tensor", 16, "--price", "p4d.24xlarge=20")
    assert (found["nodes"], found["usd_per_hour"]) == ({}, None)
    result = run("--values", values, "--tensor", 16)
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert "a node holds 0" in result.stdout
    assert "all replicas" not in result.stdout


def test_no_price_no_cost(values: Path) -> None:
    assert planned("--values", values)["usd_per_hour"] is None
    assert planned("--values", values, "--price", "g5.xlarge=1")["usd_per_hour"] is None
    assert planned("--values", values, "--price", "p4d.24xlarge=0.1")["usd_per_hour"] == "0.10"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there is nothing to plan"),
        (("--model", "gpt-3-175b"), "no type of node; give --node, one of a100-40gb"),
        (
            ("--model", "gpt-3-175b", "--node", "p4"),
            "there is no type of node 'p4'; give one of a100-40gb",
        ),
        (("--model", "gpt-5", "--node", "p4d.24xlarge"), "'gpt-5' is neither a file nor a known model"),
        (("--model", "r1=gpt-3-175b", "--node", "p4d.24xlarge"), "there is nothing to plan"),
        (("--catalogue", CATALOGUE, "--model", "r2=gpt-3-175b"), "there is no tier r2; there is r1, pro"),
        (("--catalogue", CATALOGUE, "--values", CATALOGUE), "not both"),
        (("--model", "gpt-3-175b", "--price", "p4d.24xlarge"), "NODE=USD"),
        (
            ("--model", "gpt-3-175b", "--context", "1000001", "--concurrency", "1000"),
            "1000 sequences of 1000001 tokens are more than 1000000000 tokens",
        ),
        (("--model", "gpt-3-175b", "--price", "p4d.24xlarge=nan"), "NODE=USD"),
        (("--model", "gpt-3-175b", "--price", "p4d=20"), "there is no type of node 'p4d'"),
    ],
)
def test_wrong_usage(arguments: tuple[str | Path, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not YAML"),
        ("[]", "must be a mapping"),
        (
            "node: p4d.24xlarge",
            "tiers: Field required; if the chart's values.yaml has it, give that file first",
        ),
        (
            "tiers: {r1: {variants: {a: {precision: bf17, context: 1, concurrency: 1}}}}",
            "tiers.r1.variants.a.precision",
        ),
        (
            "tiers: {r1: {model: {shape: {layers: 1}}, variants: {a: {precision: bf16, context: 1, concurrency: 1}}}}",
            "tiers.r1.model.shape: parameters: Field required",
        ),
    ],
)
def test_bad_values(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text)
    result = run("--values", file)
    assert result.exit_code == 2
    assert said in result.stderr


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from tandem.cli.app import app\n"
        "try: app(['plan', '--model', 'gpt-3-175b', '--node', 'p4d.24xlarge'])\n"
        "except SystemExit: pass\n"
        "heavy = {'grpc', 'numpy', 'tritonclient', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
