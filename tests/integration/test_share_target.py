"""Would catch a target that the running system does not hold or does not tell, and labels that do not come together."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tandem.client import Client
from tandem.embedded.triton import TritonProcess
from tandem.ledger.labelled import labelled
from tandem.ledger.schema import reading
from tests.integration.asking import R1, sim
from tests.system import POLICY, TANDEM, Tandem, simulated_tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTIONS = ("What is the capital of France?", "Prove that e is irrational.", "判断该合同是否有效。", "Hi!")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("share")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def steered(mode: str, triton: TritonProcess, folder: Path) -> AsyncIterator[Tandem]:
    """A Tandem that asks the strong tier for half of the requests, and keeps what it is asked."""
    policy, ledger = folder / f"{mode}.yaml", f"sqlite:///{folder / mode}.sqlite"
    text = POLICY.read_text(encoding="utf-8")
    policy.write_text(text.replace("\nrouting:\n", "\nrouting:\n  target: {share: 0.5}\n"), encoding="utf-8")
    more = ["--policy", str(policy), "--ledger", ledger, "--keep-prompts"]
    async with simulated_tandem(triton, mode, folder / f"{mode}.log", *more) as running:
        yield running


def say_right(request_id: str, url: str) -> str:
    """Book that an answer was right, as an operator does; an entry is booked a moment after its request has ended."""
    command = [str(TANDEM), "ledger", "feedback", "--database", url, "--request", request_id, "--right"]
    end = time.monotonic() + 10.0
    while True:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        if done.returncode == 0 or time.monotonic() > end:
            return done.stdout


async def test_the_share_is_held_and_told_and_labels_come_together(
    steered: Tandem, mode: str, folder: Path
) -> None:
    async with Client(steered.address) as client:
        answers = [
            await client.ask(f"{QUESTIONS[n % 4]} {sim(tokens=2)}", no_cache=True, deadline_seconds=10)
            for n in range(60)
        ]
        explained = await client.explain(QUESTIONS[0], deadline_seconds=10)

    strong = sum(answer.answered_by.tier == "pro" for answer in answers)
    assert abs(strong - 30) <= 17
    control = explained.plan.share_control
    assert (control.target, control.measured_requests) == (0.5, 60)
    assert control.measured == pytest.approx(strong / 60)
    assert "the target 50.0% moved the threshold from" in explained.plan.reasons[1]
    assert answers[-1].plan.share_control.measured_requests == 59

    url = f"sqlite:///{folder / mode}.sqlite"
    by_r1 = next(answer for answer in answers if answer.answered_by == R1)
    assert await asyncio.to_thread(say_right, by_r1.request_id, url) == "1 of 1 booked.\n"
    with reading(url) as connection:
        (label,) = labelled(connection)
    assert label.messages[0].parts[0].text.startswith(tuple(QUESTIONS))
    assert (label.r1_right, label.pro_right) == (1.0, None)
