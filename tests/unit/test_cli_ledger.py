"""Would catch output that a script cannot read, a wrong exit status, and options that are ignored."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from tandem.cli.ledger import app
from tandem.cli.moment import parse_moment
from tandem.ledger import checking
from tandem.ledger.opening import open_ledger
from tandem.state_folder import embedded_ledger, state_folder
from tandem.v1 import types_pb2
from tests.fakes.entries import START, Tokens, entry, url_of

DAY = timedelta(days=1)


@pytest.fixture
def url(tmp_path: Path) -> str:
    entries = [
        entry("r-1", tenant="acme", age=3 * DAY),
        entry("r-2", [Tokens("pro", 5, 6, 2_000_000_000), Tokens("r1", 7, 8, 9)], tenant="acme", age=DAY),
        entry("r-3", [], reason="OVERLOADED"),
    ]
    entries[1].answer.degradations.add(
        reason=types_pb2.DEGRADATION_REASON_TIMEOUT, to_target=types_pb2.Target(tier="r1", variant="fp16")
    )
    ledger = open_ledger(url_of(tmp_path))
    for each in entries:
        ledger.write(each)
    asyncio.run(ledger.close())
    return url_of(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def found(*arguments: str, status: int = 0) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def test_the_newest_requests(url: str) -> None:
    assert [each["request_id"] for each in found("--database", url)["requests"]] == ["r-3", "r-2", "r-1"]
    assert [each["request_id"] for each in found("--database", url, "--limit", "1")["requests"]] == ["r-3"]
    since = (START - 2 * DAY).isoformat()
    picked = found("--database", url, "--tenant", "acme", "--since", since)["requests"]
    assert [(each["request_id"], each["attempts"], each["outcome"]) for each in picked] == [
        ("r-2", 2, "degraded")
    ]


def test_the_table_of_requests(url: str) -> None:
    lines = run("--database", url).stdout.splitlines()
    (degraded,) = [line for line in lines if "r-2" in line]
    cells = [cell.strip() for cell in degraded.strip("│").split("│")]
    assert cells == [
        "2026-11-23 09:30:00",
        "r-2",
        "acme",
        "r1/fp16",
        "degraded",
        "12",
        "14",
        "-",
        "120 ms",
        "$2.0000000",
        "2",
    ]


def test_totals(url: str) -> None:
    totals = found("totals", "--database", url, "--by", "tier")
    assert totals["groups"][0] == {
        "tier": "pro",
        "requests": 0,
        "attempts": 1,
        "input_tokens": 5,
        "output_tokens": 6,
        "cost_nano_usd": 2_000_000_000,
        "amplification": None,
    }
    assert totals["total"]["requests"] == 3
    assert totals["total"]["amplification"] == 1.0
    table = run("totals", "--database", url).stdout
    assert "acme" in table
    assert table.splitlines()[-2].split()[1] == "all"


def test_one_request(url: str) -> None:
    (shown,) = found("show", "r-2", "--database", url)["requests"]
    assert [each["model"] for each in shown["attempts"]] == ["pro", "r1"]
    assert shown["degradations"][0]["to_tier"] == "r1"
    words = run("show", "r-2", "--database", url).stdout
    assert "pro/fp16 (pro)" in words
    assert "timeout" in words


def test_a_request_that_is_not_there(url: str) -> None:
    assert found("show", "r-9", "--database", url, status=1) == {"requests": []}
    assert "no request r-9 in the ledger" in run("show", "r-9", "--database", url).stderr


@pytest.mark.parametrize(("engine", "status"), [(14, 0), (15, 1)])
def test_check(url: str, engine: int, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        'tandem_engine_input_tokens_total{model="r1"} 17\ntandem_engine_input_tokens_total{model="pro"} 5\n'
        f'tandem_engine_output_tokens_total{{model="r1"}} {engine + 14}\n'
        'tandem_engine_output_tokens_total{model="pro"} 6\n'
    )
    monkeypatch.setattr(checking, "_fetch", lambda _: text)
    options = ("check", "--database", url, "--metrics", "http://triton:8002/metrics")
    checked = found(*options, status=status)
    assert checked["ok"] is (status == 0)
    output = next(each for each in checked["models"] if (each["model"], each["kind"]) == ("r1", "output"))
    assert (output["ledger"], output["engine"]) == (28, engine + 14)
    assert run(*options).exit_code == status
    assert run(*options, "--tolerance", "10").exit_code == 0


def test_check_without_an_endpoint(url: str) -> None:
    result = run("check", "--database", url, "--metrics", "http://127.0.0.1:1/metrics")
    assert result.exit_code == 2
    assert "cannot read http://127.0.0.1:1/metrics" in result.stderr
    assert run("check", "--database", url).exit_code == 2


def test_prune(url: str) -> None:
    options = ("prune", "--before", (START - 2 * DAY).isoformat(), "--database", url)
    assert found(*options, status=1)["requests"] == 1
    assert "None was forgotten: add --yes" in run(*options).stdout
    assert len(found("--database", url)["requests"]) == 3
    assert run(*options, "--yes").stdout == "1 requests from before 2026-11-22 09:30:00 UTC are forgotten.\n"
    assert len(found("--database", url)["requests"]) == 2


def test_a_ledger_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_STATE_DIR", str(tmp_path))
    for command in ((), ("totals",), ("show", "r"), ("prune", "--before", "90d")):
        result = run(*command)
        assert result.exit_code == 2
        assert f"there is no ledger {tmp_path}/ledger.sqlite" in result.stderr
        assert "Start `tandem up`" in result.stderr


def test_options_before_a_command_are_refused(url: str) -> None:
    result = run("--tenant", "acme", "totals", "--database", url)
    assert result.exit_code == 2
    assert "tandem ledger totals" in result.stderr


def test_moments() -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert parse_moment("15m", now) == now - timedelta(minutes=15)
    assert parse_moment("2h", now) == now - timedelta(hours=2)
    assert parse_moment("7d", now) == now - timedelta(days=7)
    assert parse_moment("2026-11-24") == datetime(2026, 11, 24, tzinfo=UTC)
    assert parse_moment("2026-11-24T13:00+01:00") == now


@pytest.mark.parametrize("text", ["yesterday", "7", "-7d", "7 d", "2026-13-01", "999999999w"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="neither an age"):
        parse_moment(text)
    assert run("--since", text).exit_code == 2


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TANDEM_STATE_DIR": "/named", "XDG_STATE_HOME": "/shared"}, Path("/named")),
        ({"TANDEM_STATE_DIR": "", "XDG_STATE_HOME": "/shared"}, Path("/shared/tandem")),
        ({"XDG_STATE_HOME": "relative"}, Path.home() / ".local" / "state" / "tandem"),
    ],
)
def test_the_state_is_where_it_is_named(variables: dict[str, str], expected: Path) -> None:
    assert state_folder(variables) == expected
    assert embedded_ledger(variables) == f"sqlite:///{expected}/ledger.sqlite"


def test_feedback_is_booked(url: str, tmp_path: Path) -> None:
    assert found("feedback", "--database", url, "--request", "r-1", "--wrong") == {"booked": 1, "unknown": []}
    file = tmp_path / "feedback.jsonl"
    file.write_text(
        '{"request_id": "r-2", "right": true, "tier": "pro"}\n{"request_id": "gone", "score": 0}\n'
    )
    booked = found("feedback", "--database", url, "--from", str(file), "--source", "judge", status=1)
    assert booked == {"booked": 1, "unknown": ["gone"]}


@pytest.mark.parametrize(
    "options", [[], ["--request", "r-1"], ["--request", "r-1", "--right", "--from", "-"]]
)
def test_feedback_that_is_not_given(url: str, options: list[str]) -> None:
    result = run("feedback", "--database", url, *options)
    assert result.exit_code == 2
    assert "--request with --right or --wrong, or --from FILE" in " ".join(result.output.split())


def test_feedback_that_cannot_be_read(url: str, tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    file.write_text("yes\n")
    result = run("feedback", "--database", url, "--from", str(file))
    assert result.exit_code == 2
    assert "line 1: " in result.output
