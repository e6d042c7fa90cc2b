"""Would catch a rule that the running system does not apply, and a review that its client or its ledger misses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select

from tandem.client import Client
from tandem.embedded.triton import TritonProcess
from tandem.ledger.schema import reading
from tandem.ledger.tables import requests
from tandem.v1 import types_pb2
from tests.integration.asking import PRO, R1_INT8, kinds, sim
from tests.system import POLICY, TANDEM, Tandem, ledger_beside, simulated_tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

RULES = """
rules:
  - name: triage
    when: {tenants: [clinic]}
    strategy: cascade
    cascade: {threshold: 1, draft_instruction: Name the symptoms.}
    sampling: {temperature: 0}
    review: required
  - name: chinese
    when: {languages: [zh]}
    tier: r1/int8
"""
PENDING = types_pb2.REVIEW_STATUS_PENDING_HUMAN_REVIEW
DIAGNOSIS = f"I have a headache. {sim('r1', text='headache')} {sim('pro', text='Rest.')}"


@pytest.fixture(scope="module")
def log(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(f"rules-{mode}") / "tandem.log"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ruled(mode: str, triton: TritonProcess, log: Path) -> AsyncIterator[Tandem]:
    """A Tandem whose policy has rules."""
    policy = log.with_name("policy.yaml")
    policy.write_text(POLICY.read_text(encoding="utf-8") + RULES, encoding="utf-8")
    async with simulated_tandem(triton, mode, log, "--policy", str(policy)) as running:
        yield running


async def statuses(log: Path, request_id: str) -> list[tuple[str, str]]:
    """Return the reviews that the ledger has for a request; it is booked a moment after its end."""
    query = select(requests.c.review_id, requests.c.review_status).where(requests.c.request_id == request_id)
    end = time.monotonic() + 10.0
    while True:
        with reading(ledger_beside(log)) as connection:
            found = [(str(each), str(status)) for each, status in connection.execute(query)]
        if found or time.monotonic() > end:
            return found
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_is_pending_review(ruled: Tandem, log: Path, streamed: bool) -> None:
    async with Client(ruled.address, tenant="clinic") as client:
        if streamed:
            stream = client.stream(DIAGNOSIS, deadline_seconds=10)
            assert kinds([event async for event in stream]) == ["started", "text", "finished"]
            answer = stream.answer
        else:
            answer = await client.ask(DIAGNOSIS, deadline_seconds=10)

    assert (answer.text, answer.answered_by, answer.plan.rule) == ("Rest.", PRO, "triage")
    assert answer.gate.escalated
    assert answer.review.status == PENDING
    assert await statuses(log, answer.request_id) == [(answer.review.id, "pending_human_review")]


async def test_a_person_settles_a_review_while_the_system_runs(ruled: Tandem, log: Path) -> None:
    async with Client(ruled.address, tenant="clinic") as client:
        answer = await client.ask(DIAGNOSIS, no_cache=True, deadline_seconds=10)
    await statuses(log, answer.request_id)
    command = [str(TANDEM), "reviews", "--database", ledger_beside(log), "--approve", answer.review.id]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert (said.decode(), process.returncode) == (f"{answer.review.id}: approved.\n", 0)
    assert await statuses(log, answer.request_id) == [(answer.review.id, "approved")]


async def test_each_answer_is_a_case_of_its_own(ruled: Tandem) -> None:
    async with Client(ruled.address, tenant="clinic") as client:
        answers = [await client.ask(DIAGNOSIS, deadline_seconds=10) for _ in range(2)]
    assert answers[0].review.id != answers[1].review.id
    assert {answer.cache for answer in answers} == {types_pb2.CACHE_OUTCOME_MISS}


async def test_a_tier_by_name_escapes_no_review(ruled: Tandem) -> None:
    async with Client(ruled.address, tenant="clinic") as client:
        answer = await client.ask(f"Hi! {sim(tokens=2)}", tier="r1", deadline_seconds=10)
    assert answer.answered_by.tier == "r1"
    assert answer.review.status == PENDING


async def test_the_draft_is_a_case_too_when_pro_is_gone(ruled: Tandem) -> None:
    prompt = f"I have a headache. {sim('r1', text='headache')} {sim('pro', fault='oom')}"
    async with Client(ruled.address, tenant="clinic") as client:
        answer = await client.ask(prompt, deadline_seconds=10)
    assert answer.text == "headache"
    assert [each.reason for each in answer.degradations] == [types_pb2.DEGRADATION_REASON_OUT_OF_MEMORY]
    assert answer.review.status == PENDING


async def test_a_rule_goes_by_what_was_found(ruled: Tandem) -> None:
    async with Client(ruled.address) as client:
        chinese = await client.explain("解释量子计算的基本原理，并举例说明。", deadline_seconds=10)
        english = await client.explain("What is the capital of France?", deadline_seconds=10)
    assert (chinese.plan.rule, chinese.plan.attempts[0].target) == ("chinese", R1_INT8)
    assert (english.plan.rule, english.plan.review_required) == ("", False)
