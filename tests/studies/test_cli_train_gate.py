"""Would catch weights that are not written, lost comments, and a gate that is written though it is no better."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

from typer.testing import CliRunner, Result

from tandem.catalogue import load_catalogue
from tandem.cli.app import app
from tandem.ledger.feedback import Feedback, add_feedback
from tandem.ledger.opening import open_ledger
from tandem.ledger.schema import reading
from tandem.orchestrator.policy import Policy, load_policy
from tests.fakes.entries import Tokens, entry, url_of

DEPLOY = Path(__file__).parents[2] / "deploy"


def ledger(folder: Path, count: int, *, telling: bool = True) -> str:
    """Write drafts whose confidence tells how right they are, or nothing."""
    url, chance = url_of(folder), random.Random(5)
    books, verdicts = open_ledger(url), []
    for n in range(count):
        made = entry(f"r-{n}", [Tokens("r1")])
        right = n % 2 == 0
        made.answer.attempts[0].confidence = (0.95 if right else 0.6) if telling else chance.random()
        made.answer.signals.r1_suffices.value = 0.5
        books.write(made)
        verdicts.append(Feedback(f"r-{n}", 1.0 if right else -1.0, "human"))
    asyncio.run(books.close())
    with reading(url) as connection:
        add_feedback(connection, verdicts)
    return url


def run(url: str, policy: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["train", "gate", "--from-ledger", url, "--policy", str(policy), *more])


def loaded(policy: Path) -> Policy:
    return load_policy(policy, load_catalogue(policy.with_name("catalogue.yaml")))


def test_a_better_gate_is_written_and_the_rest_stays(tmp_path: Path, policy: Path) -> None:
    before = policy.read_text()
    result = run(ledger(tmp_path, 200), policy, "--write", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["drafts"], found["better"], found["written"]) == (200, True, str(policy))
    assert found["after"]["log_loss"] < found["before"]["log_loss"]
    assert loaded(policy).cascade.gate.model_dump() == found["gate"]
    changed = [line for line in policy.read_text().splitlines() if line not in before.splitlines()]
    assert len(changed) == 1
    assert changed[0].strip().startswith("gate: {intercept:")


def test_a_policy_without_the_section_gets_it(tmp_path: Path, policy: Path) -> None:
    text = policy.read_text()
    start, end = text.index("cascade:\n"), text.index("classifier:\n  allowance")
    policy.write_text(text[:start] + text[end:])
    assert run(ledger(tmp_path, 200), policy, "--write").exit_code == 0
    assert loaded(policy).cascade.gate.confidence > 0.5


def test_without_write_nothing_is_written(tmp_path: Path, policy: Path) -> None:
    before = policy.read_bytes()
    result = run(ledger(tmp_path, 200), policy)
    assert result.exit_code == 0
    assert "200 drafts with a verdict" in result.stdout
    assert "written" not in result.stdout
    assert policy.read_bytes() == before


def test_a_gate_that_is_no_better_is_not_written(tmp_path: Path, policy: Path) -> None:
    text = policy.read_text().replace(
        "gate: {intercept: -0.7, confidence: 0.5", "gate: {intercept: 0, confidence: 0"
    )
    policy.write_text(text)
    result = run(ledger(tmp_path, 100, telling=False), policy, "--write")
    assert result.exit_code == 1
    assert "not better" in result.stderr
    assert policy.read_text() == text


def test_too_few_verdicts(tmp_path: Path, policy: Path) -> None:
    result = run(ledger(tmp_path, 20), policy)
    assert result.exit_code == 1
    assert "20 verdicts on drafts" in result.stderr


def test_a_ledger_that_is_not_there(tmp_path: Path, policy: Path) -> None:
    assert run(f"sqlite:///{tmp_path}/none.sqlite", policy).exit_code == 2
