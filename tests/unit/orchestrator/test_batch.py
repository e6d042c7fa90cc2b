"""Would catch: a batch that reads without bound, loses or repeats an item, or fails as a whole with one of them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import pytest
import structlog

from tandem.call import Call
from tandem.clock import now
from tandem.errors import BackendError, InvalidRequest
from tandem.orchestrator import batch as batches
from tandem.orchestrator.batch import IN_FLIGHT, Batch, Item, ItemResult
from tandem.orchestrator.work import Services
from tandem.serving.validation import validate
from tandem.v1 import classifier_pb2, inference_pb2, orchestrator_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import Piece, ScriptedInference, saying
from tests.fakes.orchestrators import orchestrator
from tests.fakes.services import FakeClassifier, FakeFusion, signals

pytestmark = pytest.mark.virtual_time


class Tier(ScriptedInference):
    """Answers when the gate of its prompt opens; fails on what its prompt says."""

    def __init__(self) -> None:
        super().__init__(saying("ok"))
        self.gates: dict[str, asyncio.Event] = {}

    async def stream_infer(
        self, request: inference_pb2.InferRequest, call: Call, *, buffered: bool = False
    ) -> AsyncGenerator[Piece, None]:
        prompt = request.messages[0].parts[0].text
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if prompt in self.gates:
                await self.gates[prompt].wait()
            if prompt == "fail":
                raise BackendError("it said fail")
            if prompt == "defect":
                raise ValueError("secret")
        finally:
            self.running -= 1
        async with aclosing(super().stream_infer(request, call)) as pieces:
            async for piece in pieces:
                yield piece


class Items:
    """The client's side: counts what was read."""

    def __init__(self, *items: Item, endless: bool = False) -> None:
        self.items = items
        self.endless = endless
        self.read = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[Item]:
        try:
            for item in self.items:
                self.read += 1
                yield item
            if self.endless:
                await asyncio.Event().wait()
        finally:
            self.closed = True


def item(index: int, text: str = "hi") -> Item:
    return Item(index=index, request=question(text))


def batch(tier: Tier) -> Batch:
    services = Services(FakeClassifier(), FakeFusion(), {"r1": tier, "pro": ScriptedInference(saying("pro"))})
    return Batch(orchestrator(services, catalogue(), policy({"cache.entries": 0})), validate)


async def results(tier: Tier, items: Items) -> list[ItemResult]:
    return [result async for result in batch(tier).run(aiter(items), call())]


async def settle(reached: Callable[[], bool]) -> None:
    """Let tasks run until something is so, and then until nothing can change it any more."""
    async with asyncio.timeout(5):
        while not reached():
            await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)


async def test_every_item_has_one_result() -> None:
    numbers = [7, 0, 2**63, 1]
    found = await results(Tier(), Items(*map(item, numbers)))
    assert sorted(result.index for result in found) == sorted(numbers)
    assert {result.answer.text for result in found} == {"ok"}


async def test_nothing_in_nothing_out() -> None:
    assert await results(Tier(), Items()) == []


async def test_results_come_as_they_finish() -> None:
    tier = Tier()
    tier.gates["slow"] = asyncio.Event()
    async with aclosing(batch(tier).run(aiter(Items(item(0, "slow"), item(1))), call())) as found:
        assert (await anext(found)).index == 1
        tier.gates["slow"].set()
        assert (await anext(found)).index == 0


async def test_a_failing_item_fails_alone() -> None:
    found = {r.index: r for r in await results(Tier(), Items(item(0), item(1, "fail"), item(2)))}
    assert found[1].error == orchestrator_pb2.ItemError(
        code=13, reason="BACKEND_ERROR", message="it said fail"
    )
    assert [found[index].answer.text for index in (0, 2)] == ["ok", "ok"]


async def test_a_defect_fails_its_item_alone_and_tells_nothing() -> None:
    found = {r.index: r for r in await results(Tier(), Items(item(0, "defect"), item(1)))}
    assert (found[0].error.code, found[0].error.reason) == (13, "INTERNAL")
    assert "secret" not in found[0].error.message
    assert found[1].answer.text == "ok"


async def test_every_item_has_a_line_in_the_log_with_its_end() -> None:
    tier = Tier()
    tier.gates["wait"] = asyncio.Event()
    items = Items(item(0), item(1, "fail"), Item(index=2), item(3, "defect"), item(4, "wait"))
    with structlog.testing.capture_logs() as lines:
        async with aclosing(batch(tier).run(aiter(items), call())) as found:
            for _ in range(4):
                await anext(found)
    told = [line for line in lines if line["event"] == "request"]
    assert {line["request_id"]: line.get("reason", "") for line in told} == {
        "test.0": "",
        "test.1": "BACKEND_ERROR",
        "test.2": "INVALID_REQUEST",
        "test.3": "INTERNAL",
        "test.4": "CANCELLED",
    }
    assert len(told) == 5
    assert {line["log_level"] for line in told if line["code"] in ("OK", "CANCELLED")} == {"info"}


@pytest.mark.parametrize("bad", [Item(index=1), Item(index=1, request=orchestrator_pb2.GenerateRequest())])
async def test_an_invalid_item_is_answered_in_its_result(bad: Item) -> None:
    found = {r.index: r for r in await results(Tier(), Items(item(0), bad))}
    assert (found[1].error.code, found[1].error.reason) == (3, "INVALID_REQUEST")
    assert "request" in found[1].error.message
    assert found[0].answer.text == "ok"


async def test_an_index_used_for_two_questions_ends_the_call() -> None:
    with pytest.raises(InvalidRequest, match="index 4 is used for two questions") as caught:
        await results(Tier(), Items(item(4), item(4, "other")))
    assert caught.value.details.violations[0].field == "index"


async def test_an_item_that_is_sent_again_is_answered_once() -> None:
    tier = Tier()
    found = await results(tier, Items(item(4), item(5), item(4), item(5), item(4)))
    assert sorted(result.index for result in found) == [4, 5]
    assert len(tier.requests) == 2


async def test_the_number_of_items_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_ITEMS", 3)
    assert len(await results(Tier(), Items(*map(item, range(3)), item(2)))) == 3
    with pytest.raises(InvalidRequest, match="more than 3 items"):
        await results(Tier(), Items(*map(item, range(4))))


class Sorted(FakeClassifier):
    """Finds that everything but `hard` is simple."""

    async def classify(
        self, request: classifier_pb2.ClassifyRequest, call: Call
    ) -> classifier_pb2.ClassifyResponse:
        hard = request.messages[0].parts[0].text == "hard"
        return classifier_pb2.ClassifyResponse(signals=signals(0.1 if hard else 0.9))


async def test_simple_and_complex_items_run_side_by_side_as_many_as_the_tiers_bear() -> None:
    """All complex ones come first: they must not keep the cheap tier from working."""
    r1, pro = ScriptedInference(saying("quick")), ScriptedInference(saying("thorough"))
    r1.token_seconds = pro.token_seconds = 0.5
    services = Services(Sorted(), FakeFusion(), {"r1": r1, "pro": pro})
    changes = {"tiers.pro.variants.bf16.concurrency": 8, "tiers.r1.variants.fp16.concurrency": 32}
    answers = orchestrator(services, catalogue(changes), policy({"cache.entries": 0}))
    items = [item(index, "hard" if index < 40 else f"easy {index}") for index in range(200)]
    found = [r async for r in Batch(answers, validate).run(aiter(Items(*items)), call(seconds=60))]
    assert len(found) == 200
    assert (r1.most_running, pro.most_running) == (32, 8)
    # 160 simple ones, 32 at a time, and 40 complex ones, 8 at a time: five rounds of a second for both
    assert now() == pytest.approx(5.0)


async def test_large_items_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "IN_FLIGHT_BYTES", 1000)
    tier = Tier()
    found = await results(tier, Items(*(item(index, "x" * 400) for index in range(6)), item(9, "x" * 5000)))
    assert len(found) == 7
    assert tier.most_running == 2


async def test_work_in_flight_is_bounded_by_what_the_client_reads() -> None:
    tier = Tier()
    items = Items(*(item(index) for index in range(IN_FLIGHT * 3)))
    async with aclosing(batch(tier).run(aiter(items), call())) as found:
        await anext(found)
        await settle(lambda: items.read > IN_FLIGHT)
        assert items.read == IN_FLIGHT + 1, "one more is read and waits for room"
        for delivered in range(1, IN_FLIGHT):
            await anext(found)
            await settle(lambda: True)
            assert items.read == IN_FLIGHT + 1 + delivered
    assert tier.most_running <= IN_FLIGHT


async def test_a_client_that_stops_reading_stops_the_work() -> None:
    tier = Tier()
    tier.gates["slow"] = asyncio.Event()
    items = Items(item(0), item(1, "slow"), endless=True)
    async with aclosing(batch(tier).run(aiter(items), call())) as found:
        assert (await anext(found)).index == 0
        await settle(lambda: tier.running == 1)
    assert tier.running == 0
    assert items.closed


async def test_leaving_a_failed_batch_early_leaves_no_unheard_error() -> None:
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    delivered = asyncio.Event()

    async def items() -> AsyncIterator[Item]:
        yield item(1)
        await delivered.wait()
        yield item(1, "another question")

    async with aclosing(batch(Tier()).run(items(), call())) as found:
        await anext(found)
        delivered.set()
        await settle(lambda: True)
    gc.collect()
    assert unheard == []


async def test_cancelling_stops_the_work() -> None:
    tier = Tier()
    tier.gates["slow"] = asyncio.Event()
    task = asyncio.create_task(results(tier, Items(item(0, "slow"))))
    await settle(lambda: tier.running == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tier.running == 0
