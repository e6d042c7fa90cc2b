"""Would catch a command line that mixes the answer with facts about it, or whose exit status scripts cannot rely on."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.system import TANDEM, Tandem

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(660)]

QUESTION = "What is the capital of France?"


async def ask(system: Tandem, *arguments: str, stdin: str | None = None) -> tuple[int, str, str]:
    """Run `tandem ask`; return exit status, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        TANDEM,
        *("ask", "--target", system.address, *arguments),
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin.encode() if stdin is not None else None), 90)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_answer_goes_to_standard_output_and_its_facts_to_standard_error(system: Tandem) -> None:
    status, out, err = await ask(system, QUESTION, "--max-tokens", "16", "--no-cache")

    assert status == 0
    assert out.strip()
    assert all(word not in out for word in ("tier", "cost"))
    assert all(word in err for word in ("tier", "why", "tokens", "first token", "per token", "cost", "$"))


async def test_a_question_is_read_from_standard_input(system: Tandem) -> None:
    status, out, _ = await ask(system, "--tier", "pro", "--max-tokens", "8", "--json", stdin="量子是什么?\n")

    answer = json.loads(out)
    assert status == 0
    assert answer["answered_by"]["tier"] == "pro"
    assert answer["usage"]["output_tokens"] <= 8
    assert answer["text"].strip()


async def test_explain_shows_the_plan_and_runs_nothing(system: Tandem) -> None:
    status, out, _ = await ask(system, QUESTION, "--explain")
    as_json, explained, _ = await ask(system, QUESTION, "--explain", "--json")

    assert (status, as_json) == (0, 0)
    assert all(word in out for word in ("complexity", "route", "r1/fp16", "deadline"))
    assert json.loads(explained)["plan"]["attempts"][0]["target"]["tier"] == "r1"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--tier", "gpt"], 1, ["UNKNOWN_TIER", "r1", "pro"]),
        (["--deadline", "0.02"], 1, ["DEADLINE"]),
        (["--target", "127.0.0.1:1", "--deadline", "5"], 1, ["tandem up"]),
        (["--strategy", "guess"], 2, ["route", "ensemble"]),
        (["--max-tokens", "0"], 2, ["max-tokens"]),
        (["--no-such-option"], 2, ["no-such-option"]),
    ],
)
async def test_exit_status_tells_failure_from_wrong_usage(
    system: Tandem, arguments: list[str], status: int, words: list[str]
) -> None:
    got, out, err = await ask(system, QUESTION, *arguments)

    assert got == status
    assert out.strip() == ""
    assert all(word in err for word in words)
    assert "Traceback" not in err


async def test_a_failure_is_one_json_object_too(system: Tandem) -> None:
    status, out, _ = await ask(system, QUESTION, "--tier", "gpt", "--json")

    assert status == 1
    assert json.loads(out)["error"]["reason"] == "UNKNOWN_TIER"
