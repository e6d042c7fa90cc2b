"""Would catch output that a script cannot read, and an exit status that hides a review that was not settled."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tandem.cli.app import app
from tandem.ledger.opening import open_ledger
from tandem.v1 import types_pb2
from tests.fakes.entries import entry, url_of


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = entry("r-1", tenant="clinic")
    made.answer.signals.domain.value = types_pb2.DOMAIN_MEDICAL
    made.answer.review.id = "c0ffee"
    made.answer.review.status = types_pb2.REVIEW_STATUS_PENDING_HUMAN_REVIEW
    ledger = open_ledger(url_of(tmp_path))
    ledger.write(made)
    asyncio.run(ledger.close())
    return url_of(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["reviews", *arguments])


def found(*arguments: str, status: int = 0) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def test_what_is_pending(url: str) -> None:
    shown = found("--database", url)
    assert shown["pending"] == 1
    (case,) = shown["reviews"]
    assert (case["review_id"], case["request_id"], case["tenant"]) == ("c0ffee", "r-1", "clinic")
    assert (case["tier"], case["outcome"], case["domain"]) == ("r1", "answered", "medical")
    table = run("--database", url).stdout
    assert "c0ffee" in table
    assert "1 pending." in table
    assert found("--database", url, "--tenant", "other") == {"reviews": [], "pending": 0}


@pytest.mark.parametrize(("option", "word"), [("--approve", "approved"), ("--correct", "corrected")])
def test_settling(url: str, option: str, word: str) -> None:
    settled = found("--database", url, option, "c0ffee")
    assert settled == {"review_id": "c0ffee", "settled": True, "status": word}
    assert found("--database", url)["pending"] == 0
    again = run("--database", url, "--approve", "c0ffee")
    assert again.exit_code == 1
    assert f"c0ffee is {word} already; it stays so" in again.stderr
    assert found("--database", url, option, "c0ffee", status=1)["settled"] is False


def test_settling_in_words(url: str) -> None:
    assert run("--database", url, "--approve", "c0ffee").stdout == "c0ffee: approved.\n"


def test_an_unknown_review(url: str) -> None:
    result = run("--database", url, "--correct", "decaf")
    assert result.exit_code == 1
    assert "no review decaf in the ledger" in result.stderr


def test_wrong_usage(url: str, tmp_path: Path) -> None:
    assert run("--database", url, "--approve", "a", "--correct", "b").exit_code == 2
    missing = run("--database", f"sqlite:///{tmp_path / 'none.sqlite'}")
    assert missing.exit_code == 2
    assert "there is no ledger" in missing.stderr
