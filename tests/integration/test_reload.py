"""Would catch a reload that fails a request, is not seen, is seen by half of the system, or lets a bad document in.

The documents lie as in Kubernetes: in a mounted ConfigMap, whose change swaps a link.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tandem.client import Client
from tandem.embedded.system import wait_healthy
from tandem.embedded.triton import TritonProcess
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.config_map import MountedConfigMap
from tests.integration.asking import sim
from tests.system import CATALOGUE, POLICY, Tandem, simulated_tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODELS = CATALOGUE.read_text(encoding="utf-8")
RULES = POLICY.read_text(encoding="utf-8")
DEARER = MODELS.replace("output_usd_per_million_tokens: 0.30", "output_usd_per_million_tokens: 30")
WITH_INT4 = MODELS.replace(
    "\n  pro:\n",
    "      int4: {model: r1-int4, signature: vllm, context_tokens: 9999, latency: {ttft_ms: 5, tpot_ms: 2}}\n"
    "\n  pro:\n",
)
WITHOUT_INT8 = MODELS.replace("      int8:\n", "      other:\n")
"""The same Triton model under another name: no variant int8 any more."""
SECONDS = 40.0


class Documents:
    """Both documents of a running Tandem."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._map = MountedConfigMap(folder, {"catalogue.yaml": MODELS, "policy.yaml": RULES})

    @property
    def options(self) -> list[str]:
        return [f"--catalogue={self.folder}/catalogue.yaml", f"--policy={self.folder}/policy.yaml"]

    def update(self, catalogue: str = MODELS, policy: str = RULES) -> None:
        self._map.update({"catalogue.yaml": catalogue, "policy.yaml": policy})


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    return Documents(tmp_path / "documents")


@pytest_asyncio.fixture(loop_scope="session")
async def tandem(
    mode: str, triton: TritonProcess, tmp_path: Path, documents: Documents
) -> AsyncIterator[Tandem]:
    options = [*documents.options, "--log-level=info"]
    async with simulated_tandem(triton, mode, tmp_path / "tandem.log", *options) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def asked(tandem: Tandem) -> AsyncIterator[Client]:
    async with Client(tandem.address) as opened:
        yield opened


async def explained(client: Client) -> orchestrator_pb2.ExplainResponse:
    return await client.explain(sim(tokens=1), deadline_seconds=10)


async def until(holds: Callable[[orchestrator_pb2.ExplainResponse], bool], client: Client) -> None:
    end = time.monotonic() + SECONDS
    while not holds(await explained(client)):
        assert time.monotonic() < end, "the new documents were not taken"
        await asyncio.sleep(0.1)


async def until_read_by_all(tandem: Tandem, mode: str) -> None:
    """Wait until whoever looks for itself has taken new documents once: apart, the inference services do, too."""
    end = time.monotonic() + SECONDS
    while tandem.log.count("documents read") < {"together": 1, "separate": 3}[mode]:
        assert time.monotonic() < end, tandem.log
        await asyncio.sleep(0.1)


async def ask_on(client: Client, answers: list[types_pb2.Answer], stop: asyncio.Event) -> None:
    """Ask one question after the other, streamed and not, until told to stop."""
    while not stop.is_set():
        said = sim(tokens=20, tpot_ms=5)
        answers.append(await client.ask(said, tier="r1", no_cache=True, deadline_seconds=10))
        stream = client.stream(said, tier="r1", no_cache=True, deadline_seconds=10)
        async for _ in stream:
            pass
        answers.append(stream.answer)


@contextlib.asynccontextmanager
async def load(client: Client) -> AsyncIterator[list[types_pb2.Answer]]:
    """Keep six questions under way while the context is open; whatever fails is raised at its end."""
    answers: list[types_pb2.Answer] = []
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(ask_on(client, answers, stop))
        yield answers
        stop.set()


@pytest.mark.timeout(120)
async def test_new_documents_count_for_new_requests_and_fail_none(
    tandem: Tandem, asked: Client, documents: Documents
) -> None:
    old = (await explained(asked)).plan.policy_revision
    async with load(asked) as answers:
        await asyncio.sleep(0.5)
        documents.update(DEARER, RULES.replace("margin_ms: 250", "margin_ms: 50"))
        await until(lambda seen: seen.plan.policy_revision != old, asked)
        changed_at = len(answers)
        await asyncio.sleep(0.5)
    reasons = {each.reason for answer in answers for each in answer.degradations}
    assert reasons <= {types_pb2.DEGRADATION_REASON_CLASSIFIER}, "it may be late where cores are busy"
    margins = {answer.plan.policy_revision: answer.plan.margin_ms for answer in answers}
    assert sorted(margins.values()) == [50, 250], "each revision has its own margin, and there are two"
    for answer in answers:
        # Policy and prices change together: no request sees one of them old and the other new.
        dear = answer.cost_nano_usd > 100_000
        assert dear == (answer.plan.margin_ms == 50)
    assert changed_at < len(answers)
    assert tandem.log.count("documents read") >= 1


@pytest.mark.timeout(120)
async def test_a_bad_policy_is_refused_in_the_open_and_the_old_one_goes_on(
    tandem: Tandem, asked: Client, documents: Documents
) -> None:
    before = (await explained(asked)).plan.policy_revision
    async with load(asked) as answers:
        documents.update(policy=RULES.replace("margin_ms: 250", "margin_ms: many"))
        end = time.monotonic() + SECONDS
        while "documents refused" not in tandem.log:
            assert time.monotonic() < end, tandem.log
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
    assert {answer.plan.policy_revision for answer in answers} == {before}
    assert (await explained(asked)).plan.policy_revision == before
    line = RULES.splitlines().index("  margin_ms: 250") + 1
    assert f"policy.yaml:{line}:" in tandem.log
    assert await wait_healthy(tandem.address, ("", "r1"), 5.0)
    documents.update(policy=RULES.replace("margin_ms: 250", "margin_ms: 50"))
    await until(lambda seen: seen.plan.policy_revision != before, asked)


@pytest.mark.timeout(120)
async def test_a_variant_without_its_triton_model_is_answered_for_by_others(
    mode: str, tandem: Tandem, asked: Client, documents: Documents
) -> None:
    documents.update(WITH_INT4)
    await until(lambda seen: any(each.target.variant == "int4" for each in seen.models), asked)
    await until_read_by_all(tandem, mode)
    answer = await asked.ask(sim(tokens=3), tier="r1", variant="int4", deadline_seconds=10)
    assert [types_pb2.AttemptOutcome.Name(each.outcome) for each in answer.attempts] == [
        "ATTEMPT_OUTCOME_UNAVAILABLE",
        "ATTEMPT_OUTCOME_ANSWERED",
    ]
    assert await wait_healthy(tandem.address, ("", "r1"), 5.0)


@pytest.mark.timeout(120)
async def test_a_variant_may_go_while_it_answers(
    mode: str, tandem: Tandem, asked: Client, documents: Documents
) -> None:
    slow = asked.stream(
        sim(tokens=200, tpot_ms=80), tier="r1", variant="int8", no_cache=True, deadline_seconds=60
    )
    events = aiter(slow)
    while not (await anext(events)).HasField("text"):
        pass

    async def to_the_end() -> types_pb2.Answer:
        async for _ in events:
            pass
        return slow.answer

    running = asyncio.create_task(to_the_end())
    documents.update(WITHOUT_INT8, RULES.replace("r1/int8", "r1/other"))
    await until(lambda seen: any(each.target.variant == "other" for each in seen.models), asked)
    await until_read_by_all(tandem, mode)
    assert not running.done()
    answer = await running
    assert answer.answered_by.variant == "int8"
    assert answer.usage.output_tokens == 200
    assert not answer.degradations
