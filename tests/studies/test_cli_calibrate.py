"""Would catch thresholds that are not written, comments that are lost, and a target that nobody can reach unnoticed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from difflib import ndiff
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tandem.catalogue import load_catalogue
from tandem.cli.app import app
from tandem.cli.policy_file import Thresholds, write_thresholds
from tandem.ledger.opening import open_ledger
from tandem.orchestrator.policy import load_policy
from tandem.v1 import types_pb2
from tests.fakes.entries import Tokens, entry, url_of

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def traffic(tmp_path: Path) -> Path:
    """600 requests of even scores; those in Chinese have half of the score of those in English."""
    file, rows = tmp_path / "traffic.jsonl", []
    for n in range(600):
        chinese = n % 2 == 0
        score = (n + 0.5) / 600 * (0.5 if chinese else 1.0)
        language = {"value": "zh" if chinese else "en", "confidence": 1.0}
        rows.append(
            {"r1_suffices": {"value": score}, "language": language, "r1_right": n % 3 == 0, "pro_right": True}
        )
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


def found(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_share(policy: Path, traffic: Path) -> None:
    result = found("--target-share", "0.3", "--traffic", traffic, "--policy", policy)
    assert result["overall"]["share"]["value"] == pytest.approx(0.3, abs=0.002)
    assert result["overall"]["threshold"]["value"] == pytest.approx(0.2, abs=0.002)
    assert [(each["language"], each["chosen"]) for each in result["slices"]] == [("en", True), ("zh", True)]
    assert result["effect"]["with_slices"]["share"]["value"] == pytest.approx(0.3, abs=0.005)
    assert result["reliability"]["all"]["requests"] == 600
    assert result["written"] is None
    assert policy.read_bytes() == (DEPLOY / "policy.yaml").read_bytes()


def test_what_is_written_can_be_used_and_changes_nothing_else(policy: Path, traffic: Path) -> None:
    policy.chmod(0o640)
    found("--target-share", "0.3", "--traffic", traffic, "--policy", policy, "--write", "--hold")
    routing = load_policy(policy, load_catalogue(DEPLOY / "catalogue.yaml")).routing
    assert routing.threshold == pytest.approx(0.2, abs=0.002)
    assert {row.language: round(row.threshold, 2) for row in routing.thresholds} == {"en": 0.3, "zh": 0.15}
    assert routing.target is not None
    assert routing.target.share == 0.3
    assert policy.stat().st_mode & 0o777 == 0o640
    before, after = (DEPLOY / "policy.yaml").read_text().splitlines(), policy.read_text().splitlines()
    assert [line for line in ndiff(before, after) if line.startswith("- ")] == ["-   threshold: 0.5"]
    assert len(after) - len(before) == 4  # `thresholds:`, its two rows, `target:`


def test_what_was_written_is_replaced(policy: Path, traffic: Path) -> None:
    found("--target-share", "0.3", "--traffic", traffic, "--policy", policy, "--write")
    found("--target-share", "0.5", "--traffic", traffic, "--policy", policy, "--write", "--overall")
    routing = load_policy(policy, load_catalogue(DEPLOY / "catalogue.yaml")).routing
    assert (routing.thresholds, routing.target) == ((), None)
    assert routing.threshold > 0.3


def test_an_unusable_threshold_leaves_the_policy_as_it_was(policy: Path) -> None:
    catalogue = load_catalogue(DEPLOY / "catalogue.yaml")
    with pytest.raises(Exception, match=r"routing\.threshold: must be at most 1"):
        write_thresholds(policy, catalogue, Thresholds(2.0, []))
    assert policy.read_bytes() == (DEPLOY / "policy.yaml").read_bytes()
    assert sorted(each.name for each in policy.parent.iterdir()) == ["catalogue.yaml", "policy.yaml"]


def test_a_cost(policy: Path, traffic: Path) -> None:
    """256 + 256 tokens: $0.1024 by r1 and $1.024 by pro for 1,000."""
    result = found("--max-cost-per-1k", "0.3", "--traffic", traffic, "--policy", policy)
    assert result["effect"]["overall"]["usd_per_1k"]["value"] == pytest.approx(0.3, abs=0.002)
    assert result["overall"]["share"]["value"] == pytest.approx((0.3 - 0.1024) / 0.9216, abs=0.002)
    longer = found(
        "--max-cost-per-1k", "0.3", "--traffic", traffic, "--policy", policy, "--output-tokens", "512"
    )
    assert longer["overall"]["share"]["value"] < result["overall"]["share"]["value"]


def test_a_cost_out_of_reach(policy: Path, traffic: Path) -> None:
    result = run("--max-cost-per-1k", "0.01", "--traffic", traffic, "--policy", policy)
    assert result.exit_code == 1
    assert "$0.1024 by the cheap tier alone" in result.output


def test_the_ledger_as_traffic(policy: Path, tmp_path: Path) -> None:
    ledger = open_ledger(url_of(tmp_path))
    for n in range(100):
        made = entry(f"r-{n}", [Tokens("r1", 100, 50), Tokens("pro", 100, 500)])
        made.answer.signals.r1_suffices.value = n / 100
        made.answer.signals.domain.value = types_pb2.DOMAIN_LEGAL
        ledger.write(made)
    asyncio.run(ledger.close())
    result = found(
        "--target-share", "0.25", "--from-ledger", "--database", url_of(tmp_path), "--policy", policy
    )
    assert result["overall"]["threshold"]["value"] == pytest.approx(0.245)
    assert result["output_tokens"] == {"r1": 50.0, "pro": 500.0}
    # 0.75 × (100 × 0.1 + 50 × 0.3) + 0.25 × (100 × 1 + 500 × 3) = 418.75 millionths
    assert result["effect"]["overall"]["usd_per_1k"]["value"] == pytest.approx(0.41875)


def test_people_get_tables(policy: Path, traffic: Path) -> None:
    text = run("--target-share", "0.3", "--traffic", traffic, "--policy", policy).stdout
    assert "600 requests from" in text
    assert "30.0%" in text
    assert "Nothing was written" in text


def test_diagrams(policy: Path, traffic: Path, tmp_path: Path) -> None:
    options: Sequence[str | Path] = ("--target-share", "0.3", "--traffic", traffic, "--policy", policy)
    assert run(*options, "--plots", tmp_path / "plots").exit_code == 0
    drawn = sorted(each.name for each in (tmp_path / "plots").iterdir())
    assert drawn == ["reliability_all.png", "reliability_en.png", "reliability_zh.png"]


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ([], 2, "--target-share or --max-cost-per-1k, one of the two"),
        (["--target-share", "0.3", "--max-cost-per-1k", "1"], 2, "one of the two"),
        (["--target-share", "0.3", "--traffic", "FILE", "--from-ledger"], 2, "not both"),
        (["--target-share", "0.3", "--traffic", "FILE", "--hold"], 2, "only together with --write"),
        (["--target-share", "0.3", "--since", "7d"], 2, "only together with --from-ledger"),
        (
            ["--target-share", "0.3", "--from-ledger", "--database", "sqlite:////none/l.sqlite"],
            1,
            "no ledger",
        ),
    ],
)
def test_wrong_usage(traffic: Path, options: list[str], status: int, said: str) -> None:
    result = run(*(str(traffic) if word == "FILE" else word for word in options))
    assert result.exit_code == status
    assert said in " ".join(result.output.replace("│", " ").split())


def test_too_little_traffic(tmp_path: Path) -> None:
    file = tmp_path / "few.jsonl"
    file.write_text('{"r1_suffices": 0.5}\n' * 29)
    result = run("--target-share", "0.3", "--traffic", file)
    assert result.exit_code == 1
    assert "30 are needed" in result.output


def test_no_diagram_without_outcomes(tmp_path: Path) -> None:
    file = tmp_path / "plain.jsonl"
    file.write_text('{"r1_suffices": 0.5}\n' * 30)
    result = run("--target-share", "0.3", "--traffic", file, "--plots", tmp_path / "plots")
    assert result.exit_code == 1
    assert "no outcome of R1 is known" in result.output
