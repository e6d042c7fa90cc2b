"""Would catch: a simulation of something else than the values say, a knee that is not marked, a wrong exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tandem.capacity.deployed import Counts, of_catalogue, of_values
from tandem.capacity.values import read_values
from tandem.catalogue import load_catalogue
from tandem.cli import simulate as command
from tandem.cli.app import app

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "tandem"
CATALOGUE = ROOT / "deploy" / "catalogue.yaml"
P4D = [CHART / "values.yaml", CHART / "values-p4d.yaml"]
VALUES = ("--values", P4D[0], "--values", P4D[1])
QUICK = ("--requests", 100, "--deadline", 6, "--answer-tokens", 100, "--prompt-tokens", 300, "--points", 2)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["simulate", *map(str, arguments)])


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    result = run(
        *VALUES, *QUICK, "--objective", 0.9, "--price", "p4d.24xlarge=20.5", "--rps", "5:9", "--json"
    )
    assert result.exit_code == 0, result.stderr
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def test_what_is_simulated_is_what_the_values_deploy(found: dict[str, Any]) -> None:
    assert found["deployment"] == {"orchestrators": 2, "replicas": {"r1": 2, "pro": 1}}
    assert found["nodes"] == {"p4d.24xlarge": 2}
    assert found["usd_per_hour"] == 41.0
    (cheap,) = (tier for tier in found["arithmetic"]["tiers"] if tier["tier"] == "r1")
    assert (cheap["places"], cheap["hold_seconds"]) == (20, pytest.approx(1.5 * (0.25 + 100 * 0.02)))


def test_the_knee_is_between_two_loads(found: dict[str, Any]) -> None:
    rates = [point["per_second"] for point in found["points"]]
    assert rates == sorted(rates)
    assert 1.0 < found["beyond_knee"] / found["knee"] <= 1.03
    assert rates.index(found["beyond_knee"]) == rates.index(found["knee"]) + 1
    for point in found["points"]:
        assert point["as_planned_per_second"] <= point["goodput_per_second"] <= point["per_second"]
        assert (point["as_planned"]["low"] >= 0.9) == (point["per_second"] <= found["knee"])


def test_larger_loads_cost_more(found: dict[str, Any]) -> None:
    assert [size["per_second"] for size in found["sizes"]] == [10, 100, 1000, 10_000, 100_000]
    costs = [size["usd_per_hour"] for size in found["sizes"]]
    assert costs == sorted(costs)
    largest = found["sizes"][-1]
    each = 0.7 * found["knee"]
    assert largest["replicas"]["r1"] == pytest.approx(2 * 100_000 / each, rel=1e-4)
    assert largest["usd_per_1000_answers"] == pytest.approx(costs[-1] / 360_000, rel=0.02)


def test_people_get_tables_and_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "out" / "sim.png"
    result = run(*VALUES, *QUICK, "--objective", 0.9, "--rps", "1:6", "--scale", 4, "--plot", picture)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "8 × orchestrator, 8 × r1, 4 × pro on 8 × p4d.24xlarge"
    assert any("the knee is above 6 requests/s" in line for line in lines)
    assert "of one of 4 cells" in lines[-1]
    assert result.stderr.count("requests/s:") == 3
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("orchestrators", "words"),
    [
        (1, ""),
        (3, ""),
        (
            20,
            "the replicas of pro compute 16 sequences at a time, and each of 20 orchestrators lets in one at least",
        ),
    ],
)
def test_what_sharing_costs_is_told(orchestrators: int, words: str) -> None:
    result = run(*VALUES, *QUICK, "--replicas", "r1=4", "--orchestrators", orchestrators, "--rps", "1:2")
    assert words in result.stdout
    assert ("note:" in result.stdout) == bool(words)


def test_accelerators_that_tiers_share_are_told_not_to_be_simulated() -> None:
    orin = ("--values", P4D[0], "--values", CHART / "values-orin.yaml")
    content = json.loads(run(*orin, *QUICK, "--rps", "0.1:0.2", "--json").stdout)
    (warning,) = content["warnings"]
    assert warning.startswith(
        "all tiers lie on the same accelerators (shareAccelerators), and each is simulated as if"
    )


def test_a_catalogue_has_no_nodes() -> None:
    result = run("--catalogue", CATALOGUE, *QUICK, "--rps", "0.1:1", "--json")
    content = json.loads(result.stdout)
    assert (content["nodes"], content["usd_per_hour"]) == ({}, None)
    assert content["deployment"]["replicas"] == {"r1": 1, "pro": 1}


def test_a_trace_takes_the_place_of_what_is_drawn(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    lines = [{"at": n / 3, "prompt_tokens": 300, "answer_tokens": 50, "complexity": 9} for n in range(60)]
    trace.write_text("\n".join(map(json.dumps, lines)))
    content = json.loads(run(*VALUES, *QUICK, "--trace", trace, "--rps", "0.5:1", "--json").stdout)
    assert [tier["tier"] for tier in content["arithmetic"]["tiers"]] == ["pro"]
    assert [point["strong_share"] for point in content["points"]] == [1.0, 1.0]


def test_a_tier_that_does_not_fit_is_not_simulated() -> None:
    result = run(*VALUES, "--node", "g5.xlarge")
    assert result.exit_code == 1
    assert "tier r1 does not fit on g5.xlarge" in result.stderr


def test_tiers_that_do_not_fit_together_are_not_simulated(tmp_path: Path) -> None:
    longer = tmp_path / "longer.yaml"
    longer.write_text("tiers: {r1: {variants: {int8: {context: 65536}}}}")
    result = run("--values", CHART / "values-orin.yaml", "--values", longer)
    assert result.exit_code == 1
    assert "the tiers pro, r1 do not fit together on jetson-agx-orin-32gb" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give --values or --catalogue"),
        ((*VALUES, "--catalogue", CATALOGUE), "give --values or --catalogue"),
        ((*VALUES, "--rps", "5:1"), "must be FROM:TO"),
        ((*VALUES, "--rps", "fast"), "must be FROM:TO"),
        ((*VALUES, "--cells", "2"), "must divide 1"),
        ((*VALUES, "--replicas", "r1"), "must be TIER=N"),
        ((*VALUES, "--replicas", "middle=2"), "there is no tier middle; there is r1, pro"),
        ((*VALUES, "--answer-tokens", "p50=x"), "must be tokens or pSHARE=TOKENS"),
        ((*VALUES, "--plot", "picture.jpg"), "must be a file name that ends in .png"),
        ((*VALUES, "--node", "x"), "there is no type of node 'x'"),
        ((*VALUES, "--trace", CATALOGUE), "1: is not a JSON object"),
    ],
)
def test_wrong_usage(arguments: tuple[object, ...], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())


def test_values_that_are_not_all_are_told_what_they_lack(tmp_path: Path) -> None:
    """A profile in the chart's folder is laid over the chart's values; elsewhere it has nothing below it."""
    alone = tmp_path / "values-p4d.yaml"
    alone.write_text(P4D[1].read_text())
    result = run("--values", alone)
    assert result.exit_code == 2
    assert "the values make no model catalogue" in result.stderr


def test_without_matplotlib_a_plot_is_refused_before_anything_is_simulated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    result = run(*VALUES, "--plot", "x.png")
    assert (result.exit_code, result.stderr) == (2, "--plot needs matplotlib: pip install 'tandem[plots]'\n")


def test_the_values_policy_is_laid_over_the_shipped_one(tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text("policy: {routing: {threshold: 0.7}, max_attempts: 3}")
    policy = of_values(read_values([*P4D, over]), None, Counts()).policy
    assert (policy.routing.threshold, policy.max_attempts, len(policy.fallbacks)) == (0.7, 3, 8)


def test_the_default_variant_is_the_first() -> None:
    found = of_values(read_values(P4D), None, Counts()).catalogue
    assert list(found.tier("r1").variants) == ["bf16", "int8"]
    assert of_catalogue(CATALOGUE, None, Counts()).catalogue == load_catalogue(CATALOGUE)
