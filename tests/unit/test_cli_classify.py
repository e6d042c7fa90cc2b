"""Would catch output that a script cannot read, a line that is lost or ends the others, and a plan of other signals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tandem.cli.app import app
from tests.fakes import artifacts

PROOF = "Prove that the square root of 2 is irrational, then explain step by step why it matters."
KEYS = {
    "complexity",
    "r1_suffices",
    "expected_gain",
    "task",
    "domain",
    "language",
    "professional",
    "modalities",
    "context_tokens",
    "reasons",
    "artifact_revision",
}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("artifact") / "by-hand.safetensors"
    artifacts.write(file)
    return file


def classify(artifact: Path, *arguments: str, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(app, ["classify", "--artifact", str(artifact), *arguments], input=stdin)


def lines(artifact: Path, *given: object, options: tuple[str, ...] = ()) -> tuple[int, list[dict[str, Any]]]:
    stdin = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in given)
    result = classify(artifact, "--jsonl", *options, stdin=stdin)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_a_text_is_shown_for_people(artifact: Path) -> None:
    result = classify(artifact, PROOF)
    assert result.exit_code == 0
    assert "complexity" in result.stdout
    assert "mathematics" in result.stdout
    assert "harder: asks for a proof or a derivation" in result.stdout
    assert "by-hand-" in result.stdout


def test_one_object_for_scripts(artifact: Path) -> None:
    result = classify(artifact, "--json", PROOF)
    found = json.loads(result.stdout)
    assert found.keys() == KEYS
    assert found["task"]["value"] == "mathematics"
    assert found["domain"]["value"] == "general"
    assert found["language"]["value"] == "en"
    assert found["professional"]["value"] == "undecided"
    assert found["complexity"]["value"] > 5 > 10 * found["r1_suffices"]["value"]
    assert all(0 <= found[key]["confidence"] <= 1 for key in ("task", "domain", "complexity"))


def test_text_may_come_from_a_file_or_from_standard_input(artifact: Path, tmp_path: Path) -> None:
    expected = classify(artifact, "--json", PROOF).stdout
    file = tmp_path / "question.txt"
    file.write_text(f"{PROOF}\n", encoding="utf-8")
    assert classify(artifact, "--json", "--file", str(file)).stdout == expected
    assert classify(artifact, "--json", stdin=PROOF).stdout == expected
    assert classify(artifact, "--json", "-", stdin=PROOF).stdout == expected
    assert classify(artifact, "--json", stdin=b"\xff\xfe broken").exit_code == 0


def test_every_line_has_its_answer_with_the_fields_that_came_with_it(artifact: Path, tmp_path: Path) -> None:
    talk = [
        {"role": "system", "text": "Be brief."},
        {"role": "user", "text": PROOF},
        {"role": "assistant", "text": "Shall I?"},
        {"role": "user", "text": "yes"},
    ]
    given = [
        {"id": 7, "text": PROOF, "note": "甲"},
        json.dumps("谁写了《红楼梦》？"),
        {"messages": talk, "id": "b"},
    ]
    status, found = lines(artifact, *given)
    assert status == 0
    assert [line.keys() - KEYS for line in found] == [{"id", "note"}, set(), {"id"}]
    assert (found[0]["id"], found[0]["note"], found[2]["id"]) == (7, "甲", "b")
    assert found[1]["language"]["value"] == "zh"
    assert found[2]["complexity"]["value"] == pytest.approx(found[0]["complexity"]["value"], abs=0.5)
    assert {key: found[0][key] for key in KEYS} == json.loads(classify(artifact, "--json", PROOF).stdout)
    file = tmp_path / "lines.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in given[:1]), encoding="utf-8")
    assert json.loads(classify(artifact, "--jsonl", "--file", str(file)).stdout) == found[0]


def test_a_signal_takes_the_place_of_a_field_of_its_name(artifact: Path) -> None:
    assert lines(artifact, {"task": "gold", "text": PROOF})[1][0]["task"]["value"] == "mathematics"


def test_a_bad_line_gives_an_error_in_its_place_and_the_others_go_on(artifact: Path) -> None:
    bad = [
        "{",
        "[" * 100_000,
        "42",
        {"id": 4},
        {"text": 5},
        {"text": "a", "messages": []},
        {"messages": []},
        {"messages": [{"role": "user", "text": "a"}] * 257},
        {"messages": [{"role": "robot", "text": "a"}]},
        {"messages": [{"role": "user"}]},
        '{"text": "a", "id": NaN}',
    ]
    status, found = lines(artifact, {"text": "hi"}, *bad, "", {"text": "hi"})
    assert status == 1
    assert len(found) == len(bad) + 2
    assert "error" not in found[0]
    assert found[0] == found[-1]
    assert [line["error"].partition(":")[0] for line in found[1:-1]] == [f"line {n}" for n in range(2, 13)]
    assert found[4]["id"] == 4
    assert all("; " in line["error"] or "needs" in line["error"] for line in found[1:-1])


def test_what_no_utf8_can_hold_is_answered_all_the_same(artifact: Path) -> None:
    status, found = lines(artifact, '{"text": "prove \\ud800 it", "id": "\\udfff"}', '"\\ud83d"')
    assert status == 0
    assert found[0]["id"] == "\udfff"
    raw = CliRunner().invoke(
        app, ["classify", "--artifact", str(artifact), "--jsonl"], input=b'"\xff"\n"fine"\n'
    )
    assert raw.exit_code == 1
    assert ["error" in json.loads(line) for line in raw.stdout.splitlines()] == [True, False]


def test_the_plan_is_that_of_the_policy(artifact: Path) -> None:
    easy, hard = (
        json.loads(classify(artifact, "--json", "--explain", text).stdout)
        for text in ("Who wrote Faust?", PROOF)
    )
    assert easy["plan"]["attempts"][0]["target"]["tier"] == "r1"
    assert hard["plan"]["attempts"][0]["target"]["tier"] == "pro"
    assert hard["plan"]["reasons"][1:] == hard["reasons"]
    shown = classify(artifact, "--explain", PROOF).stdout
    assert "pro/fp16" in shown
    assert "harder: asks for a proof or a derivation" in shown
    assert (
        lines(artifact, {"text": PROOF}, options=("--explain",))[1][0]["plan"]["strategy"] == "STRATEGY_ROUTE"
    )


def test_wrong_usage(artifact: Path, tmp_path: Path) -> None:
    assert classify(artifact, "--jsonl", "text").exit_code == 2
    assert classify(artifact, "--file", str(tmp_path / "none")).exit_code == 2
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    result = classify(broken, "hi")
    assert result.exit_code == 2
    assert "no artifact" in result.stderr
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\n", encoding="utf-8")
    assert classify(artifact, "--explain", "--policy", str(policy), "hi").exit_code == 2


def test_help_says_what_a_line_may_be() -> None:
    shown = CliRunner().invoke(app, ["classify", "--help"]).stdout
    assert '{"text": "TEXT"}' in shown
    assert "Exit status" in shown
