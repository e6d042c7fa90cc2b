"""Would catch a shipped example that the running system does not carry out as its page says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from tandem.client import Client, user
from tandem.deployment import deploy_folder
from tandem.embedded.triton import TritonProcess
from tandem.v1 import types_pb2
from tests.integration.asking import sim
from tests.system import Tandem, simulated_tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

Answer: TypeAlias = types_pb2.Answer
Run: TypeAlias = Callable[[str], AbstractAsyncContextManager[Tandem]]
SIMPLE = "What are your opening hours?"
HARD = (
    "My order arrived with two items missing and I was charged twice in different currencies. Compare my options under "
    "a 30-day refund policy and tell me step by step which refund I should claim first and why."
)
LEASE = "5. Repairs. The landlord keeps the building, the heating and the water in repair. " * 20
PENDING = types_pb2.REVIEW_STATUS_PENDING_HUMAN_REVIEW


@pytest.fixture
def run(mode: str, triton: TritonProcess, tmp_path: Path) -> Run:
    """Run a shipped example, patient with a classifier that shares busy cores with everything else."""

    def running(name: str) -> AbstractAsyncContextManager[Tandem]:
        policy = tmp_path / f"{name}.yaml"
        text = (deploy_folder() / "workflows" / policy.name).read_text(encoding="utf-8")
        policy.write_text(f"{text}\nclassifier: {{allowance_ms: 1000}}\n", encoding="utf-8")
        return simulated_tandem(triton, mode, tmp_path / "tandem.log", "--policy", str(policy))

    return running


def told(answer: Answer) -> tuple[str, str, str]:
    """Return the rule, who answered, and what."""
    return answer.plan.rule, answer.answered_by.tier, answer.text


async def test_customer_service(run: Run) -> None:
    # Without a word to the simulator: the classifier would take it for a part of the question.
    async with run("customer_service") as tandem, Client(tandem.address) as client:
        simple, hard = [await client.ask(text, deadline_seconds=20) for text in (SIMPLE, HARD)]
    assert told(simple)[:2] == ("simple", "r1")
    assert told(hard)[:2] == ("complex", "pro")
    assert simple.plan.attempts[0].sampling.max_tokens == 128
    assert not simple.HasField("review")
    assert not hard.HasField("review")


async def test_medical_triage(run: Run) -> None:
    record = types_pb2.Message(
        role=types_pb2.ROLE_SYSTEM, parts=[types_pb2.Part(text="Patient record: takes warfarin.")]
    )
    symptoms = sim("r1", text="chest pain: emergency")
    async with run("medical_triage") as tandem, Client(tandem.address, tenant="clinic") as client:
        # The classifier takes this for a general question: it is the tenant that tells.
        asked = [record, user(f"My chest hurts. {symptoms} {sim('pro', text='Call an ambulance.')}")]
        answer = await client.ask(asked)
        alone = await client.ask(f"My chest hurts. {symptoms} {sim('pro', fault='oom')}")
    assert told(answer) == ("triage", "pro", "Call an ambulance.")
    assert [(each.purpose, each.target.tier) for each in answer.attempts] == [
        (types_pb2.ATTEMPT_PURPOSE_PRIMARY, "r1"),
        (types_pb2.ATTEMPT_PURPOSE_ESCALATION, "pro"),
    ]
    # The draft and the template stand behind the question: 200 characters and more, four to a token.
    assert answer.attempts[1].usage.input_tokens > answer.attempts[0].usage.input_tokens
    assert answer.review.status == PENDING
    assert told(alone) == ("triage", "r1", "chest pain: emergency")
    assert [each.reason for each in alone.degradations] == [types_pb2.DEGRADATION_REASON_OUT_OF_MEMORY]
    assert alone.review.status == PENDING


async def test_legal_review(run: Run) -> None:
    votes = f"{sim('r1', text='The answer is no.')} {sim('pro', text='Clause 6. The answer is yes.')}"
    async with run("legal_review") as tandem, Client(tandem.address, tenant="law-office") as client:
        document = await client.ask(f"{LEASE} May the tenant sublet? {votes}")
        short = await client.ask(f"What is an itemised account? {votes}")
    assert told(document) == ("document", "pro", "Clause 6. The answer is yes.")
    assert len(document.fusion.ballots) == 3
    assert [each.normalised for each in document.fusion.dissent] == ["no"]
    assert document.review.status == PENDING
    assert told(short)[:2] == ("question", "pro")
    assert not short.HasField("review")


async def test_content_moderation(run: Run) -> None:
    sure = f"Lovely photo! {sim('r1', text='ALLOW', logprob=-0.01)} {sim('pro', text='BLOCK')}"
    unsure = f"You fool. {sim('r1', text='ALLOW', logprob=-3)} {sim('pro', text='BLOCK')}"
    async with run("content_moderation") as tandem, Client(tandem.address) as client:
        first, again = await client.ask(sure), await client.ask(sure)
        second = await client.ask(unsure)
        async with Client(tandem.address, tenant="appeals") as appeals:
            appeal = await appeals.ask(f"Why? {sim('pro', text='It insults nobody.')}")
    assert told(first) == ("post", "r1", "ALLOW")
    assert first.gate.agreement == 1.0
    assert again.cache == types_pb2.CACHE_OUTCOME_HIT
    assert told(second) == ("post", "pro", "BLOCK")
    assert told(appeal) == ("appeal", "pro", "It insults nobody.")
    assert appeal.review.status == PENDING
