"""Would catch: a token nobody pays for, a request that is missing from the ledger or stands in it twice."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from tandem.call import Call
from tandem.errors import BackendError, BackendUnavailable, BudgetExhausted
from tandem.ledger.entry import Entry
from tandem.orchestrator.cache import SharedLevel
from tandem.orchestrator.work import Services
from tandem.v1 import inference_pb2, orchestrator_pb2, types_pb2
from tests.fakes.calls import call, question, user
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import HANG, INPUT_TOKENS, ScriptedInference, Step, saying, text
from tests.fakes.orchestrators import FakeLedger, FakeObserver, orchestrator
from tests.fakes.services import FakeClassifier, FakeFusion

pytestmark = pytest.mark.virtual_time


class SlowLevel:
    """A shared level that has nothing, and takes its time to say so."""

    async def find(self, key: bytes, call: Call) -> tuple[bytes, float] | None:
        await asyncio.sleep(0.01)
        return None

    def keep(self, key: bytes, answer: bytes, seconds: float) -> None:
        pass

    def note(self, key: bytes, who: bytes, seconds: float) -> None:
        pass

    async def forget(self, keys: set[bytes], who: bytes, call: Call) -> bool:
        return False


class World:
    """An orchestrator, its tiers and its ledger; nothing is cached unless a test wants it."""

    def __init__(
        self,
        r1: list[Step],
        pro: list[Step] | None = None,
        shared: SharedLevel | None = None,
        **changes: Any,
    ) -> None:
        self.r1, self.pro = ScriptedInference(r1), ScriptedInference(pro or saying("pro"))
        services = Services(FakeClassifier(), FakeFusion(), {"r1": self.r1, "pro": self.pro})
        changed = policy({path.replace("__", "."): value for path, value in changes.items()})
        self.ledger = FakeLedger()
        self.observer = FakeObserver()
        self.orchestrator = orchestrator(
            services, catalogue(), changed, self.ledger, shared, observers=[self.observer]
        )

    async def ask(self, name: str = "test", tenant: str = "anonymous", **fields: Any) -> types_pb2.Answer:
        asked = orchestrator_pb2.GenerateRequest(messages=question().messages, **fields)
        return await self.orchestrator.generate(asked, call(request_id=name, tenant=tenant))

    async def stream(self, name: str = "test") -> list[orchestrator_pb2.StreamGenerateResponse]:
        asked = call(request_id=name)
        return [event async for event in self.orchestrator.stream_generate(question(), asked)]

    async def only(self) -> Entry:
        """Return the entry, once what is still to be settled is."""
        await self.orchestrator._bookkeeper.drain()
        (entry,) = self.ledger.entries
        return entry


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_is_in_the_ledger_once_with_all_its_attempts(streamed: bool) -> None:
    world = World([BackendUnavailable("dead")], saying("fine"))
    await (world.stream() if streamed else world.ask())
    entry = await world.only()
    assert (entry.tenant, entry.method) == ("anonymous", "StreamGenerate" if streamed else "Generate")
    assert (entry.reason, entry.deadline_ms) == ("", 10_000)
    assert [a.target.tier for a in entry.answer.attempts] == ["r1", "pro"]
    assert entry.answer.request_id == "test"


async def test_what_a_cut_off_attempt_made_is_asked_for_and_paid() -> None:
    """r1 makes 9 tokens and dies; its engine says so, and that the prompt took 5."""
    world = World([text("a", tokens=4), text("b", tokens=5), BackendUnavailable("dead")])
    answer = await world.ask()
    assert [a.usage_settled for a in answer.attempts] == [False, True]
    entry = await world.only()
    first, second = entry.answer.attempts
    assert (first.usage.input_tokens, first.usage.output_tokens) == (INPUT_TOKENS, 9)
    assert first.usage_settled
    assert first.cost_nano_usd == INPUT_TOKENS * 100 + 9 * 300
    assert entry.answer.cost_nano_usd == first.cost_nano_usd + second.cost_nano_usd
    assert entry.answer.usage.output_tokens == 9 + second.usage.output_tokens
    assert answer.attempts[0].usage.input_tokens == 0, "the client's answer is not changed any more"
    (asked,) = world.r1.settlements
    assert (asked.variant, asked.attempt) == ("fp16", world.r1.requests[0].attempt)


async def test_requests_of_one_name_are_each_paid_what_was_made_for_it() -> None:
    world = World([text("a", tokens=4), HANG])
    for _ in range(2):
        running = asyncio.create_task(world.ask("again", no_cache=True))
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.wait([running])
    await world.orchestrator._bookkeeper.drain()
    assert [e.answer.usage.output_tokens for e in world.ledger.entries] == [4, 4]


async def test_observers_see_a_request_at_its_end_and_again_when_its_tokens_are_counted() -> None:
    world = World([text("a", tokens=4), text("b", tokens=5), BackendUnavailable("dead")])
    answer = await world.ask()
    assert [(what, seen.answer.request_id) for what, seen in world.observer.told] == [("ended", "test")]
    entry = await world.only()
    (_, ended), (what, settled) = world.observer.told
    assert (what, settled.answer, settled.reason) == ("settled", entry.answer, "")
    assert ended.answer == answer
    assert settled.answer.usage.input_tokens == ended.answer.usage.input_tokens + INPUT_TOKENS


async def test_what_cannot_be_settled_is_booked_as_it_arrived() -> None:
    world = World([text("a", tokens=4), BackendUnavailable("dead")])
    world.r1.settle_failure = BackendUnavailable("still dead")
    await world.ask()
    first, _ = (await world.only()).answer.attempts
    assert (first.usage.output_tokens, first.usage_settled) == (4, False)


async def test_a_service_that_is_away_is_asked_again() -> None:
    world = World([text("a", tokens=4), BackendUnavailable("dead")])
    world.r1.settle_failure = BackendUnavailable("connection refused")
    await world.ask()
    await asyncio.sleep(1.0)
    assert world.ledger.entries == []
    world.r1.settle_failure = None
    await asyncio.sleep(2.0)
    (entry,) = world.ledger.entries
    assert entry.answer.attempts[0].usage_settled
    assert len(world.r1.settlements) > 2


async def test_the_replica_that_knows_of_an_attempt_is_found() -> None:
    """Calls go to the replicas in turn; one of three has what the attempt had sent."""
    replies = iter([(0, False), (0, False), (9, False)])

    class InTurn(ScriptedInference):
        async def settle_usage(
            self, request: inference_pb2.SettleUsageRequest, call: Call
        ) -> inference_pb2.SettleUsageResponse:
            tokens, settled = next(replies)
            return inference_pb2.SettleUsageResponse(
                usage=types_pb2.Usage(output_tokens=tokens), settled=settled
            )

    world = World([])
    world.r1 = InTurn([text("a", tokens=4), BackendUnavailable("dead")])
    services = Services(FakeClassifier(), FakeFusion(), {"r1": world.r1, "pro": world.pro})
    world.orchestrator = orchestrator(services, catalogue(), policy(), world.ledger)
    await world.ask()
    first, _ = (await world.only()).answer.attempts
    assert (first.usage.output_tokens, first.usage_settled) == (9, False)
    assert first.cost_nano_usd == 9 * 300


async def test_a_client_that_leaves_is_booked_with_what_was_made_for_it() -> None:
    world = World([text("a", tokens=4), HANG])
    running = asyncio.create_task(world.ask(no_cache=True))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    entry = await world.only()
    assert entry.reason == "CANCELLED"
    (attempt,) = entry.answer.attempts
    assert attempt.outcome == types_pb2.ATTEMPT_OUTCOME_CANCELLED
    assert attempt.usage.output_tokens == 4


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failure_is_booked_with_its_reason(streamed: bool) -> None:
    world = World([BackendError("odd")])
    with pytest.raises(BackendError):
        await (world.stream() if streamed else world.ask())
    entry = await world.only()
    assert entry.reason == "BACKEND_ERROR"
    assert len(entry.answer.attempts) == 1


async def test_a_hit_is_booked_and_costs_nothing() -> None:
    world = World(saying("a"))
    await world.ask("first")
    await world.ask("second")
    await world.stream("third")
    first, *hits = world.ledger.entries
    assert first.answer.cost_nano_usd > 0
    for entry, name in zip(hits, ("second", "third"), strict=True):
        assert entry.answer.request_id == name
        assert (entry.answer.cache, entry.answer.source_request_id) == (types_pb2.CACHE_OUTCOME_HIT, "first")
        assert (entry.answer.cost_nano_usd, len(entry.answer.attempts)) == (0, 0)


@pytest.mark.parametrize("streamed", [False, True])
async def test_who_shares_an_attempt_is_booked_without_it(streamed: bool) -> None:
    world = World(saying("a", "b"))
    ask = world.stream if streamed else world.ask
    await asyncio.gather(*(ask(name) for name in ("one", "two", "three")))
    entries = {entry.answer.request_id: entry for entry in world.ledger.entries}
    assert len(entries) == len(world.ledger.entries) == 3
    assert [len(entries[name].answer.attempts) for name in ("one", "two", "three")] == [1, 0, 0]
    assert len(world.r1.requests) == 1


async def test_who_shares_an_attempt_and_leaves_with_its_last_event_is_booked_once() -> None:
    world = World(saying("a", "b"))
    first = asyncio.create_task(world.stream("one"))
    await world.r1.started.wait()
    second = world.orchestrator.stream_generate(question(), call(request_id="two"))
    async with aclosing(second) as events:
        async for event in events:
            if event.HasField("finished"):
                break
    await first
    assert sorted((e.answer.request_id, e.reason) for e in world.ledger.entries) == [("one", ""), ("two", "")]


async def test_who_shares_a_failure_is_booked_too() -> None:
    world = World([BackendError("odd")])
    results = await asyncio.gather(world.ask("one"), world.ask("two"), return_exceptions=True)
    assert [type(result) for result in results] == [BackendError, BackendError]
    await world.orchestrator._bookkeeper.drain()
    assert sorted((e.answer.request_id, e.reason) for e in world.ledger.entries) == [
        ("one", "BACKEND_ERROR"),
        ("two", "BACKEND_ERROR"),
    ]


async def test_the_work_goes_on_for_the_others_when_the_first_leaves_and_is_booked_once() -> None:
    world = World(saying("a", "b", "c"))
    first = asyncio.create_task(world.ask("one"))
    second = asyncio.create_task(world.ask("two"))
    await asyncio.sleep(0.0015)
    first.cancel()
    assert (await second).text == "abc"
    names = [(e.answer.request_id, len(e.answer.attempts), e.reason) for e in world.ledger.entries]
    assert sorted(names) == [("one", 1, ""), ("two", 0, "")]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("shared", [False, True])
async def test_who_leaves_during_the_look_at_the_shared_cache_is_booked_once(
    shared: bool, streamed: bool
) -> None:
    world = World(saying("a", "b", "c"), shared=SlowLevel())
    ask = world.stream if streamed else world.ask
    first = asyncio.create_task(ask("one"))
    others = [asyncio.create_task(ask("two"))] if shared else []
    await asyncio.sleep(0.005)
    first.cancel()
    await asyncio.wait([first, *others])
    names = [(e.answer.request_id, len(e.answer.attempts), e.reason) for e in world.ledger.entries]
    assert sorted(names) == ([("one", 1, ""), ("two", 0, "")] if shared else [("one", 0, "CANCELLED")])


# --- budgets


def budget(**limits: Any) -> dict[str, Any]:
    return {"budgets__tenants": {"shop": limits}}


async def test_requests_beyond_the_budget_are_refused_and_booked() -> None:
    world = World(saying("a"), **budget(requests_per_minute=2))
    for _ in range(2):
        await world.ask(tenant="shop", no_cache=True)
    with pytest.raises(BudgetExhausted) as caught:
        await world.ask(tenant="shop", no_cache=True)
    assert caught.value.details.quotas[0].field == "tenant:shop/requests_per_minute"
    assert caught.value.details.retry_after_seconds is None
    assert [entry.reason for entry in world.ledger.entries] == ["", "", "BUDGET_EXHAUSTED"]
    assert (await world.ask(tenant="another", no_cache=True)).text == "a"


async def test_tokens_are_charged_after_the_answer() -> None:
    """5 tokens of prompt and 1 of answer each: the third request finds 12 of 10 used."""
    world = World(saying("a"), **budget(tokens_per_minute=10))
    for _ in range(2):
        await world.ask(tenant="shop", no_cache=True)
    with pytest.raises(BudgetExhausted):
        await world.ask(tenant="shop", no_cache=True)


async def test_money_that_is_spent_leaves_the_cheap_tier_and_says_so() -> None:
    """Pro's prompt of 5 tokens costs 5000 billionths of a dollar, its token 3000: more than the day has."""
    changes = budget(usd_per_day="0.000007", when_exhausted="cheap")
    world = World(saying("cheap"), saying("dear"), routing__threshold=1.0, **changes)
    answers = [await world.ask(tenant="shop", no_cache=True) for _ in range(2)]
    assert [answer.text for answer in answers] == ["dear", "cheap"]
    (degradation,) = answers[1].degradations
    assert degradation.reason == types_pb2.DEGRADATION_REASON_BUDGET
    assert "US dollars per day" in degradation.detail
    with pytest.raises(BudgetExhausted):
        await world.ask(tenant="shop", tier="pro", no_cache=True)


async def test_explaining_costs_nothing() -> None:
    world = World(saying("a"), **budget(requests_per_minute=1))
    explained = [await world.orchestrator.explain(question(), call(tenant="shop")) for _ in range(3)][-1]
    assert {f"{m.target.tier}/{m.target.variant}" for m in explained.models} == {
        "r1/fp16",
        "r1/int8",
        "pro/bf16",
    }
    assert world.ledger.entries == []


async def test_an_entry_never_changes() -> None:
    world = World(saying("a"))
    await world.stream()
    entry = await world.only()
    before = entry._replace(answer=types_pb2.Answer.FromString(entry.answer.SerializeToString()))
    await asyncio.sleep(1)
    assert entry == before


@pytest.mark.parametrize("keep", [False, True])
async def test_conversations_are_kept_only_where_the_operator_wants_it(keep: bool) -> None:
    ledger, tiers = FakeLedger(), {"r1": ScriptedInference(saying("a")), "pro": ScriptedInference()}
    services = Services(FakeClassifier(), FakeFusion(), tiers)
    asked = orchestrator(services, catalogue(), policy(), ledger, keep_prompts=keep)
    await asked.generate(question("why?"), call())
    assert [list(entry.messages) for entry in ledger.entries] == [[user("why?")] if keep else []]
