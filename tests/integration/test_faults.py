"""Would catch a fault matrix that does not run, passes what it should not, or whose Envoy lets everything through."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from fault_matrix.envoy import Trouble
from fault_matrix.layout import Layout
from fault_matrix.tandem_system import tandem_of
from tandem.client import Client
from tandem.embedded.triton import TritonProcess
from tandem.v1 import types_pb2
from tests.integration.asking import PRO, R1, default_text, sim
from tests.system import Tandem

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

FAULTS = Path(__file__).parents[2] / "tools" / "faults.py"
CLASSIFIER = types_pb2.DEGRADATION_REASON_CLASSIFIER
TIMEOUT = types_pb2.DEGRADATION_REASON_TIMEOUT
UNAVAILABLE = types_pb2.DEGRADATION_REASON_UNAVAILABLE
FEW = 24
"""Requests: so few that the first ones, which find out that a tier is sick, weigh too much for the amplification."""


async def faults(*words: str) -> tuple[int | None, dict[str, Any], str]:
    """Run the program; return its status, its object and its messages."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        FAULTS,
        "--json",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, messages = await process.communicate()
    return process.returncode, json.loads(out or "{}"), messages.decode()


async def test_the_matrix_runs_in_a_world_of_its_own() -> None:
    wanted = ["healthy", "oom-midst-pro", "killed-pro"]

    _, found, messages = await faults("--requests", str(FEW), "--only", *wanted)

    assert [row["fault"] for row in found["rows"]] == wanted, messages
    for row in found["rows"]:
        assert (row["sent"], row["in_time"], row["errors"]) == (FEW, FEW, 0), messages
        assert (row["late"], row["lost"], row["byte_errors"], row["ledger_error"]) == (0, 0, 0, 0.0), messages
        assert set(row["broken"]) <= {"amplification"}
    healthy, out_of_memory = (row["degraded"] for row in found["rows"][:2])
    assert healthy < FEW / 4, "the classifier may be late where cores are busy"
    assert out_of_memory == FEW
    assert found["in_time_share"] == 1.0


async def test_a_deployment_is_tested_as_far_as_prompts_reach(system: Tandem, triton: TritonProcess) -> None:
    ledger = f"sqlite:///{system.log_file.with_name('ledger.sqlite')}"
    known = ["--target", system.address, "--ledger", ledger, "--metrics", triton.metrics_url]

    status, found, messages = await faults(*known, "--requests", "8", "--only", "healthy", "frozen-pro")

    assert status == 0, messages
    (row,) = found["rows"]
    assert (row["in_time"], row["amplification"], row["ledger_error"]) == (8, 1.0, 0.0)
    assert found["skipped"] == ["frozen-pro"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "127.0.0.1:1", "--only", "healthy"], "not healthy"),
        (["--only", "nothing"], "invalid choice"),
        (["--requests", "0"], "at least 1"),
        (["--metrics", "http://127.0.0.1:1/metrics"], "--target"),
    ],
)
async def test_a_wrong_call_is_told_apart_from_a_broken_bar(words: list[str], message: str) -> None:
    status, _, messages = await faults(*words)
    assert (status, message in messages) == (2, True), messages


async def test_a_real_envoy_between_services_refuses_and_delays(
    triton: TritonProcess, tmp_path: Path
) -> None:
    layout = Layout(
        envoy={
            "classifier": Trouble(delay_ms=1000, delay_percent=100),
            "pro": Trouble(abort_percent=100),
        }
    )
    addresses = dict.fromkeys(("r1", "pro"), triton.grpc_address)

    async with (
        tandem_of(layout, "separate", addresses, tmp_path) as tandem,
        Client(tandem.address) as client,
    ):
        answer = await client.ask(sim(tokens=9), tier="pro", no_cache=True, deadline_seconds=5)

    assert (answer.text, answer.answered_by) == (default_text(9), R1)
    assert [each.reason for each in answer.degradations] == [CLASSIFIER, UNAVAILABLE]
    assert answer.degradations[1].from_target == PRO


async def test_a_real_envoy_cuts_connections_in_the_midst_of_an_answer(
    triton: TritonProcess, tmp_path: Path
) -> None:
    layout = Layout(envoy={"triton pro": Trouble(cut_ms=300)})
    addresses = dict.fromkeys(("r1", "pro"), triton.grpc_address)
    prompt = f"{sim(tokens=200, tpot_ms=1)} {sim('pro', tpot_ms=10)}"

    async with (
        tandem_of(layout, "embedded", addresses, tmp_path) as tandem,
        Client(tandem.address) as client,
    ):
        stream = client.stream(prompt, tier="pro", no_cache=True, deadline_seconds=5)
        seams = [event.seam async for event in stream if event.HasField("seam")]

    assert stream.answer.text == default_text(200)
    assert [seam.cause for seam in seams] == [UNAVAILABLE]
    assert [attempt.model for attempt in stream.answer.attempts] == ["pro", "r1"]
