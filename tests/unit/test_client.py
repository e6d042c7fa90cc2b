"""Would catch: a client that loses text, an option or a typed error, or leaves a request running that nobody reads."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from tandem.client import Client, Event, Stream
from tandem.errors import (
    BackendUnavailable,
    DeadlineExceeded,
    DeadlineTooShort,
    InternalError,
    InvalidRequest,
    ModalityUnsupported,
    OutOfMemory,
    UnknownApiKey,
    UnknownTier,
)
from tandem.orchestrator.servicer import OrchestratorServicer
from tandem.orchestrator.work import Services
from tandem.serving.authentication import Authenticator
from tandem.serving.keys import digest
from tandem.v1 import orchestrator_pb2, orchestrator_pb2_grpc, types_pb2
from tests.fakes.calls import image, question, user
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import HANG, ScriptedInference, Step, saying, text, thought
from tests.fakes.listening import listening
from tests.fakes.orchestrators import orchestrator
from tests.fakes.servicer import BareServicer, Context
from tests.fakes.services import FakeClassifier, FakeFusion


@dataclass
class World:
    """A client of a real orchestrator with scripted tiers."""

    client: Client
    r1: ScriptedInference
    pro: ScriptedInference


@contextlib.asynccontextmanager
async def world(
    *script: Step, tenant: str | None = None, api_key: str | None = None, margin_ms: float = 10
) -> AsyncIterator[World]:
    r1, pro = ScriptedInference(script or saying("be", "cause")), ScriptedInference(saying("therefore"))
    services = Services(FakeClassifier(), FakeFusion(), {"r1": r1, "pro": pro})
    servicer = OrchestratorServicer(
        orchestrator(
            services, catalogue(), policy({"classifier.allowance_ms": 5000, "deadline.margin_ms": margin_ms})
        )
    )
    async with (
        listening(
            lambda server: orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer, server),
            authenticator=Authenticator({digest("sesame"): "shop"}) if api_key else None,
        ) as served,
        Client(served.target, tenant, api_key) as client,
    ):
        yield World(client, r1, pro)


async def read(stream: Stream) -> list[Event]:
    return [event async for event in stream]


# --- ask


async def test_asking() -> None:
    async with world(tenant="shop") as here:
        answer = await here.client.ask("why?", request_id="mine")
        assert (answer.text, answer.request_id, answer.answered_by.tier) == ("because", "mine", "r1")
        assert here.r1.calls[0].tenant == "shop"
        assert here.r1.requests[0].messages == [user("why?")]


async def test_a_conversation_and_options() -> None:
    async with world() as here:
        assistant = types_pb2.Message(role=types_pb2.ROLE_ASSISTANT, parts=[types_pb2.Part(text="hello")])
        messages = [user("hi"), assistant, user("why?")]
        sampling = types_pb2.Sampling(max_tokens=7)
        answer = await here.client.ask(
            iter(messages), tier="r1", variant="int8", sampling=sampling, no_cache=True
        )
        assert answer.answered_by == types_pb2.Target(tier="r1", variant="int8")
        assert answer.cache == types_pb2.CACHE_OUTCOME_BYPASSED
        assert list(here.r1.requests[0].messages) == messages
        assert here.r1.requests[0].sampling.max_tokens == 7


async def test_an_option_that_does_not_exist() -> None:
    async with world() as here:
        with pytest.raises(ValueError, match="colour"):
            await here.client.ask("why?", colour="red")


async def test_the_deadline_travels() -> None:
    # What leaves no time for an answer leaves enough for the error, also where cores are busy.
    async with world(margin_ms=5000) as here:
        await here.client.ask("why?", deadline_seconds=20)
        assert here.r1.calls[0].remaining() < 20
        with pytest.raises(DeadlineTooShort, match="grant at least") as caught:
            await here.client.ask("other", deadline_seconds=4)
        assert caught.value.details.metadata["needed_ms"] == "5055"


async def test_refusals_are_typed() -> None:
    async with world(OutOfMemory("full")) as here:
        with pytest.raises(InvalidRequest) as caught:
            await here.client.ask([])
        assert [violation.field for violation in caught.value.details.violations] == ["messages"]
        with pytest.raises(UnknownTier, match="r1, pro"):
            await here.client.ask("why?", tier="ultra")
        with pytest.raises(ModalityUnsupported):
            await here.client.ask([image()], tier="r1")


async def test_nobody_listens() -> None:
    async with Client("127.0.0.1:1") as client:
        with pytest.raises(BackendUnavailable, match="orchestrator: "):
            await client.ask("why?")
        with pytest.raises(BackendUnavailable):
            await read(client.stream("why?"))
        with pytest.raises(BackendUnavailable):
            await client.explain("why?")
        with pytest.raises(BackendUnavailable):
            await client.forget("one")


# --- API keys


@pytest.mark.parametrize("tenant", [None, "shop"])
async def test_every_request_carries_the_key(tenant: str | None) -> None:
    async with world(tenant=tenant, api_key="sesame") as here:
        await here.client.ask("why?")
        await read(here.client.stream("why so?"))
        await here.client.explain("why?")
        assert [result.index async for result in here.client.batch([question("how?")])] == [0]
        assert {call.tenant for call in here.r1.calls} == {"shop"}


async def test_a_wrong_key_is_refused_in_every_way() -> None:
    async with world(api_key="simsalabim") as here:
        with pytest.raises(UnknownApiKey):
            await here.client.ask("why?")
        with pytest.raises(UnknownApiKey):
            await read(here.client.stream("why?"))
        with pytest.raises(UnknownApiKey):
            await here.client.explain("why?")
        with pytest.raises(UnknownApiKey):
            async for _ in here.client.batch([question()]):
                pass


@pytest.mark.parametrize("api_key", ["", " ", "sesame\n", "open sesame ", "s\u00e9same", "a\x00"])
def test_what_no_key_looks_like_is_refused_and_not_repeated(api_key: str) -> None:
    with pytest.raises(InvalidRequest, match="copy the key alone") as caught:
        Client("127.0.0.1:1", api_key=api_key)
    assert "same" not in caught.value.message


# --- stream


async def test_streaming() -> None:
    async with world(thought("hm"), *saying("be", "cause 量")) as here:
        stream = here.client.stream("why?", request_id="mine")
        events = await read(stream)
        assert events[0].started.request_id == "mine"
        assert "".join(event.text.delta for event in events) == "because 量"
        assert events[-1].HasField("finished")
        assert (stream.answer.text, stream.answer.reasoning) == ("because 量", "hm")
        assert stream.answer.usage.output_tokens == 2


async def test_a_stream_joins_over_a_seam() -> None:
    async with world(text("be"), BackendUnavailable("dead")) as here:
        stream = here.client.stream("why?")
        events = await read(stream)
        assert "seam" in [event.WhichOneof("event") for event in events]
        assert stream.answer.text == "betherefore"


def test_a_revision_replaces_the_text() -> None:
    stream = Stream.__new__(Stream)
    stream._text, stream._reasoning, stream._answer = [], [], None
    stream._note(Event(reasoning=orchestrator_pb2.ReasoningDelta(delta="hm")))
    stream._note(Event(text=orchestrator_pb2.TextDelta(delta="wrong")))
    stream._note(Event(revision=orchestrator_pb2.Revision(text="right", reasoning="so")))
    stream._note(Event(text=orchestrator_pb2.TextDelta(delta="!")))
    stream._note(Event(finished=orchestrator_pb2.Finished(answer=types_pb2.Answer())))
    assert (stream.answer.text, stream.answer.reasoning) == ("right!", "so")


async def test_an_answer_that_is_not_there_yet() -> None:
    async with world(text("be"), HANG) as here:
        stream = here.client.stream("why?")
        with pytest.raises(InternalError, match="iterate over all its events first"):
            _ = stream.answer


async def test_a_stream_that_fails() -> None:
    async with world(text("be"), InvalidRequest("odd")) as here:
        stream, found = here.client.stream("why?"), []
        with pytest.raises(InvalidRequest, match="odd"):
            async for event in stream:
                found.append(event.text.delta)
        assert "".join(found) == "be"


async def test_a_stream_that_hangs_ends_by_its_deadline() -> None:
    async with world(HANG) as here:
        with pytest.raises(DeadlineExceeded):
            await read(here.client.stream("why?", deadline_seconds=0.1))


async def test_leaving_a_stream_early_stops_it() -> None:
    async with world(text("be"), HANG) as here:
        async for event in here.client.stream("why?"):
            if event.HasField("text"):
                break
        gc.collect()
        async with asyncio.timeout(5):
            await here.r1.stopped.wait()


# --- forgetting


async def test_forgetting() -> None:
    async with world(tenant="shop") as here:
        answer = await here.client.ask("why?")
        again = await here.client.ask("why?")
        assert (again.cache, again.source_request_id) == (types_pb2.CACHE_OUTCOME_HIT, answer.request_id)
        assert await here.client.forget(again.request_id)
        assert not await here.client.forget(answer.request_id)
        assert (await here.client.ask("why?")).cache == types_pb2.CACHE_OUTCOME_MISS


async def test_a_name_that_cannot_be_one() -> None:
    async with world() as here:
        with pytest.raises(InvalidRequest):
            await here.client.forget("a b")


# --- explain and batch


async def test_explaining() -> None:
    async with world() as here:
        explained = await here.client.explain("why?", tier="pro")
        assert explained.plan.attempts[0].target.tier == "pro"
        assert here.pro.requests == []
        with pytest.raises(UnknownTier):
            await here.client.explain("why?", tier="ultra")


class Fragile(BareServicer):
    """Answers two items a call, then breaks off; says which items each call brought."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    async def BatchGenerate(
        self, request_iterator: AsyncIterator[orchestrator_pb2.BatchGenerateRequest], context: Context
    ) -> AsyncGenerator[orchestrator_pb2.BatchGenerateResponse, None]:
        self.calls.append([])
        answered = 0
        async for item in request_iterator:
            self.calls[-1].append(item.index)
            if answered == 2:
                raise BackendUnavailable("the connection is lost")
            answered += 1
            yield orchestrator_pb2.BatchGenerateResponse(index=item.index)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_batch_that_breaks_off_is_taken_up_again(asynchronous: bool) -> None:
    servicer, requests = Fragile(), [question(str(number)) for number in range(5)]

    async def slowly() -> AsyncIterator[orchestrator_pb2.GenerateRequest]:
        for request in requests:
            await asyncio.sleep(0.01)
            yield request

    async with (
        listening(
            lambda server: orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer, server)
        ) as served,
        Client(served.target) as client,
    ):
        results = [result async for result in client.batch(slowly() if asynchronous else requests)]
    assert sorted(result.index for result in results) == [0, 1, 2, 3, 4]
    assert len(servicer.calls) == 3
    assert not {0, 1} & {index for asked in servicer.calls[1:] for index in asked}, "they were delivered"


async def test_a_batch_that_nobody_answers_ends_with_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.client.BATCH_RETRIES", 1)
    async with Client("127.0.0.1:1") as client:
        with pytest.raises(BackendUnavailable):
            async for _ in client.batch([question()]):
                pass


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_the_source_of_a_batch_raises_is_raised(asynchronous: bool) -> None:
    def failing() -> Iterator[orchestrator_pb2.GenerateRequest]:
        yield question("one")
        raise ValueError("no more lines")

    async def slowly() -> AsyncIterator[orchestrator_pb2.GenerateRequest]:
        for request in failing():
            yield request

    async with world() as here:
        with pytest.raises(ValueError, match="no more lines"):
            async for _ in here.client.batch(slowly() if asynchronous else failing()):
                pass


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_batch(asynchronous: bool) -> None:
    requests = [question("one"), question("two"), orchestrator_pb2.GenerateRequest()]

    async def slowly() -> AsyncIterator[orchestrator_pb2.GenerateRequest]:
        for request in requests:
            await asyncio.sleep(0)
            yield request

    async with world() as here:
        results = [result async for result in here.client.batch(slowly() if asynchronous else requests)]
        found = {result.index: result for result in results}
        assert sorted(found) == [0, 1, 2]
        assert found[0].answer.text == found[1].answer.text == "because"
        assert found[2].error.reason == "INVALID_REQUEST"
