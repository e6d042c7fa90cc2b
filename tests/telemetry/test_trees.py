"""Would catch a span that is missing, misplaced, made twice, of the wrong length or status, or under an unknown name.

Every case is answered over real gRPC by a real orchestrator on scripted models; its spans stay in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from tandem.client import Client, user
from tandem.errors import BackendError, BackendUnavailable, DeadlineExceeded, InvalidRequest, OutOfMemory
from tandem.telemetry.names import Attribute, SpanEvent
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.inference import HANG, ScriptedInference, Step, saying, text
from tests.fakes.services import signals
from tests.fakes.tracing import GENERATE, STREAM, Spans, attributes, milliseconds, traced
from tests.fakes.world import World

PLAIN = [GENERATE, "  classify", "  plan", "  attempt", "    chat r1", "  record"]
TAKEN_OVER = [*PLAIN[:-1], "  attempt", "    chat pro", "  record"]
LATER = 2000.0
"""Milliseconds by which a busy machine may be late: far less than if nothing ended what is waited for."""
Error, Unset = StatusCode.ERROR, StatusCode.UNSET


def statuses(spans: Spans) -> dict[str, list[StatusCode]]:
    names = {span.name for span in spans.all}
    return {name: [span.status.status_code for span in spans.named(name)] for name in names}


def all_statuses(spans: Spans) -> set[StatusCode]:
    return {span.status.status_code for span in spans.all}


def error_types(spans: Spans) -> dict[str, list[Any]]:
    """Return the kinds of error by the name of the span, where there is one."""
    found = {
        name: [attributes(s).get(Attribute.ERROR_TYPE) for s in spans.named(name)]
        for name in {s.name for s in spans.all}
    }
    return {name: kinds for name, kinds in found.items() if any(kinds)}


def check_times(spans: Spans) -> None:
    """Check that all spans of a trace lie within the first, apart from the closing of the books."""
    (root,) = (span for span in spans.all if span.parent is None)
    for span in spans.all:
        assert (span.start_time or 0) <= (span.end_time or 0)
        assert (root.start_time or 0) <= (span.start_time or 0)
        if span.name != "record":
            assert (span.end_time or 0) <= (root.end_time or 0)
        assert span.context.trace_id == root.context.trace_id


async def test_a_request() -> None:
    async with traced(World(saying("be", "cause"))) as running:
        answer = await running.client.ask("why?", no_cache=True, deadline_seconds=5)
    spans = running.spans
    check_times(spans)
    assert spans.tree() == PLAIN
    assert all_statuses(spans) == {Unset}
    assert error_types(spans) == {}

    root, attempt, chat = spans.one(GENERATE), spans.one("attempt"), spans.one("chat r1")
    assert (root.kind, chat.kind, attempt.kind) == (SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL)
    booked = answer.attempts[0]
    assert milliseconds(chat) == pytest.approx(booked.duration_ms, abs=0.01)
    assert milliseconds(attempt) == pytest.approx(booked.duration_ms + booked.queued_ms, abs=0.01)
    assert milliseconds(root) >= answer.duration_ms
    told = attributes(root)
    assert told[Attribute.RPC_METHOD] == GENERATE
    assert told[Attribute.RPC_STATUS] == "OK"
    assert told[Attribute.REQUEST_ID] == answer.request_id
    assert told[Attribute.STRATEGY] == "route"
    assert told[Attribute.ANSWERED_BY] == "r1/fp16"
    assert told[Attribute.CACHE_OUTCOME] == "bypassed"
    assert told[Attribute.OUTPUT_TOKENS] == answer.usage.output_tokens == 2
    assert told[Attribute.COST_USD] * 1e9 == pytest.approx(answer.cost_nano_usd)
    assert 4000 < told[Attribute.DEADLINE_MS] <= 5000
    assert Attribute.KEEP not in told


async def test_a_call_to_a_model_follows_the_conventions() -> None:
    async with traced(World(saying("be", "cause"))) as running:
        sampling = types_pb2.Sampling(max_tokens=77, temperature=0.5, top_p=0.25, top_k=11, seed=3)
        answer = await running.client.ask("why?", no_cache=True, sampling=sampling)
    chat = running.spans.one("chat r1")
    told = dict(attributes(chat))
    first = told.pop("gen_ai.response.time_to_first_chunk")
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "triton",
        "gen_ai.request.model": "r1",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 77,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.25,
        "gen_ai.request.top_k": 11.0,
        "gen_ai.request.seed": 3,
        "gen_ai.response.id": f"{answer.request_id}/0",
        "gen_ai.response.model": "r1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 2,
    }
    assert first * 1000 == pytest.approx(answer.attempts[0].ttft_ms)
    (event,) = chat.events
    assert event.name == SpanEvent.FIRST_TOKEN
    assert (event.timestamp - (chat.start_time or 0)) / 1e6 == pytest.approx(first * 1000, abs=0.01)
    others = (span for span in running.spans.all if span is not chat)
    assert not [key for span in others for key in attributes(span) if key.startswith("gen_ai")]


@pytest.mark.parametrize(("opt_in", "kind"), [("", float), ("http,gen_ai_latest_experimental", int)])
async def test_newer_conventions_are_opted_into(opt_in: str, kind: type) -> None:
    async with traced(World(), otel_semconv_stability_opt_in=opt_in) as running:
        await running.client.ask("why?", no_cache=True)
    assert type(attributes(running.spans.one("chat r1"))[Attribute.GEN_AI_TOP_K]) is kind


async def test_a_stream() -> None:
    async with traced(World(saying("be", "cause"))) as running:
        async for _ in running.client.stream("why?", no_cache=True):
            pass
    check_times(running.spans)
    assert running.spans.tree() == [STREAM, *PLAIN[1:]]
    assert all_statuses(running.spans) == {Unset}


async def test_what_comes_from_the_cache_has_no_attempt() -> None:
    async with traced(World()) as running:
        first = await running.client.ask("why?")
        second = await running.client.ask("why?")
    assert second.cache == types_pb2.CACHE_OUTCOME_HIT
    roots = running.spans.named(GENERATE)
    hit = [span for span in running.spans.all if span.context.trace_id == roots[1].context.trace_id]
    assert Spans(hit).tree() == [GENERATE, "  cache", "  record"]
    assert attributes(roots[1])[Attribute.CACHE_OUTCOME] == "hit"
    assert attributes(roots[1])[Attribute.CACHE_SOURCE] == first.request_id


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (OutOfMemory("full"), "OUT_OF_MEMORY"),
        (BackendUnavailable("dead"), "BACKEND_UNAVAILABLE"),
        (DeadlineExceeded("late"), "DEADLINE_EXCEEDED"),
    ],
)
async def test_a_model_that_fails_is_replaced(failure: Exception, kind: str) -> None:
    fallbacks = [
        {"from": "r1", "on": on, "to": ["pro"]} for on in ("timeout", "out_of_memory", "unavailable")
    ]
    failing: list[Step] = [failure]
    async with traced(World(failing, saying("therefore"), fallbacks=fallbacks)) as running:
        await running.client.ask("why?", no_cache=True)
    spans = running.spans
    check_times(spans)
    assert spans.tree() == TAKEN_OVER
    assert statuses(spans)["attempt"] == [Error, Unset]
    assert error_types(spans) == {"attempt": [kind, None], "chat r1": [kind]}
    assert [attributes(s)[Attribute.PURPOSE] for s in spans.named("attempt")] == ["primary", "fallback"]
    root = spans.one(GENERATE)
    assert root.status.status_code is Unset
    assert len(attributes(root)[Attribute.DEGRADATIONS]) == 1
    assert attributes(root)[Attribute.KEEP] == "degraded"


async def test_a_seam_is_an_event_where_and_when_it_was() -> None:
    broken: list[Step] = [text("Grüße. "), text("und"), BackendUnavailable("dead")]
    fallbacks = [{"from": "r1", "on": "unavailable", "to": ["pro"]}]
    async with traced(World(broken, saying("weiter"), fallbacks=fallbacks)) as running:
        stream = running.client.stream("why?", no_cache=True)
        events = [event async for event in stream]
    (seam,) = (event.seam for event in events if event.HasField("seam"))
    spans = running.spans
    assert spans.tree() == [STREAM, *TAKEN_OVER[1:]]
    (told,) = spans.one(STREAM).events
    assert told.name == SpanEvent.SEAM
    assert told.attributes == {
        Attribute.SEAM_OFFSET: seam.byte_offset,
        Attribute.SEAM_FROM: "r1/fp16",
        Attribute.SEAM_TO: "pro/bf16",
    }
    assert seam.byte_offset == len("Grüße. und".encode())
    # The second attempt had a place at once, so its span begins with the seam.
    assert told.timestamp == pytest.approx(spans.one("chat pro").start_time, abs=1)


async def test_an_error_that_is_raised_ends_the_tree() -> None:
    async with traced(World([BackendError("broken")])) as running:
        with pytest.raises(BackendError):
            await running.client.ask("why?", no_cache=True)
    spans = running.spans
    assert spans.tree() == PLAIN
    kind = "BACKEND_ERROR"
    assert error_types(spans) == {GENERATE: [kind], "attempt": [kind], "chat r1": [kind]}
    root = spans.one(GENERATE)
    assert root.status.status_code is Error
    assert (attributes(root)[Attribute.RPC_STATUS], attributes(root)[Attribute.KEEP]) == (
        "INTERNAL",
        "failed",
    )


async def test_a_client_that_leaves_is_no_error() -> None:
    r1 = ScriptedInference([text("be"), HANG])
    async with traced(World(r1)) as running:
        stream = aiter(running.client.stream("why?", no_cache=True, deadline_seconds=30))
        while not (await anext(stream)).text.delta:
            pass
        await stream.aclose()
        await asyncio.wait_for(r1.stopped.wait(), 20)
    spans = running.spans
    assert spans.tree() == [STREAM, *PLAIN[1:]]
    assert all_statuses(spans) == {Unset}
    assert error_types(spans) == {STREAM: ["CANCELLED"], "attempt": ["CANCELLED"], "chat r1": ["CANCELLED"]}
    root, chat = spans.one(STREAM), spans.one("chat r1")
    assert attributes(root)[Attribute.RPC_STATUS] == "CANCELLED"
    attempt = spans.one("attempt")
    waited = attributes(attempt)[Attribute.QUEUED_MS]
    assert milliseconds(attempt) == pytest.approx(waited + milliseconds(chat), abs=0.01)
    # Its tokens were settled after it had left.
    assert attributes(spans.one("record"))[Attribute.SETTLED] is True
    assert attributes(chat)[Attribute.GEN_AI_OUTPUT_TOKENS] == 1


async def test_a_deadline_that_passes() -> None:
    never = ScriptedInference([HANG])
    async with traced(World(never, [HANG], fallbacks=[])) as running:
        with pytest.raises(DeadlineExceeded):
            await running.client.ask("why?", no_cache=True, deadline_seconds=0.6)
    spans = running.spans
    assert spans.tree() == PLAIN
    kind = "DEADLINE_EXCEEDED"
    assert error_types(spans) == {GENERATE: [kind], "attempt": [kind], "chat r1": [kind]}
    root, chat = spans.one(GENERATE), spans.one("chat r1")
    assert root.status.status_code is Error
    # The margin of 10 ms is kept. A busy machine ends it later, not earlier.
    granted_ms = min(attributes(root)[Attribute.DEADLINE_MS], 600)
    assert granted_ms - 11 <= ((chat.end_time or 0) - (root.start_time or 0)) / 1e6 < granted_ms + LATER
    assert milliseconds(root) > milliseconds(chat)
    assert attributes(root)[Attribute.KEEP] == "failed"


async def test_a_request_that_nobody_answered_is_not_told_as_an_answer() -> None:
    fallbacks = [{"from": "r1", "on": "timeout", "to": ["pro"]}]
    async with traced(World([HANG], [HANG], fallbacks=fallbacks)) as running:
        with pytest.raises(DeadlineExceeded):
            await running.client.ask("why?", no_cache=True, deadline_seconds=2)
    assert len(running.spans.named("attempt")) == 2
    told = attributes(running.spans.one(GENERATE))
    assert told[Attribute.ERROR_TYPE] == "DEADLINE_EXCEEDED"
    of_answers = {
        Attribute.ANSWERED_BY,
        Attribute.DEGRADATIONS,
        Attribute.CACHE_OUTCOME,
        Attribute.CONFIDENCE,
    }
    assert not of_answers & set(told)


async def test_voices_are_linked_to_their_vote() -> None:
    async with traced(World(strategy="ensemble")) as running:
        await running.client.ask("why?", no_cache=True)
    spans = running.spans
    check_times(spans)
    assert sorted(spans.tree()) == sorted([*PLAIN[:-1], "  attempt", "    chat pro", "  fuse", "  record"])
    fuse = spans.one("fuse")
    for voice in spans.named("attempt"):
        (link,) = voice.links
        assert link.context.span_id == fuse.context.span_id
        assert link.attributes == {Attribute.LINK: "vote"}
    assert attributes(fuse)[Attribute.AGREEMENT] == pytest.approx(0.5)


async def test_a_cascade_that_escalates() -> None:
    world = World(saying("be", "cause", confidence=0.2), strategy="cascade", cascade__threshold=1.0)
    world.classifier.found = signals(0.4)
    async with traced(world) as running:
        await running.client.ask("why?", no_cache=True)
    assert running.spans.tree() == TAKEN_OVER
    found = [attributes(span)[Attribute.PURPOSE] for span in running.spans.named("attempt")]
    assert found == ["primary", "escalation"]


async def test_the_samples_of_a_cascade_are_linked_to_what_compares_them() -> None:
    world = World(saying("be", "cause", confidence=0.9), strategy="cascade", cascade__samples=2)
    async with traced(world) as running:
        await running.client.ask("why?", no_cache=True)
    linked = [[link.attributes for link in span.links] for span in running.spans.named("attempt")]
    assert sorted(map(str, linked)) == sorted(map(str, [[], *[[{Attribute.LINK: "sample"}]] * 2]))
    assert "  fuse" in running.spans.tree()


async def test_a_classifier_that_is_away() -> None:
    world = World()
    world.classifier.failure = BackendUnavailable("away")
    async with traced(world) as running:
        await running.client.ask("why?", no_cache=True)
    assert running.spans.tree() == PLAIN
    classify = running.spans.one("classify")
    assert classify.status.status_code is Error
    assert error_types(running.spans) == {"classify": ["BACKEND_UNAVAILABLE"]}
    assert attributes(running.spans.one(GENERATE))[Attribute.DEGRADATIONS] == ["classifier"]


async def test_a_vote_that_is_late() -> None:
    world = World(strategy="ensemble", ensemble__fuse_ms=100)
    world.fusion.hangs = True
    async with traced(world) as running:
        await running.client.ask("why?", no_cache=True)
    fuse = running.spans.one("fuse")
    assert attributes(fuse)[Attribute.ERROR_TYPE] == "DEADLINE_EXCEEDED"
    assert 99 <= milliseconds(fuse) < 100 + LATER


async def test_items_of_a_batch_have_trees_of_their_own() -> None:
    requests = [orchestrator_pb2.GenerateRequest(messages=[user(word)], no_cache=True) for word in ("a", "b")]
    async with traced(World()) as running:
        async for _ in running.client.batch(requests):
            pass
    tree = running.spans.tree()
    assert tree[0] == "tandem.v1.OrchestratorService/BatchGenerate"
    assert tree[1:] == [f"  {line}" for line in ["request", *PLAIN[1:]] * 2]
    ids = [attributes(span)[Attribute.REQUEST_ID] for span in running.spans.named("request")]
    assert sorted(each.rpartition(".")[2] for each in ids) == ["0", "1"]


async def test_what_is_refused_at_the_edge_has_a_span_of_its_own() -> None:
    async with traced(World()) as running:
        with pytest.raises(InvalidRequest):
            await running.client.ask("why?", sampling=types_pb2.Sampling(temperature=9))
    (only,) = running.spans.all
    assert (only.name, only.status.status_code) == (GENERATE, Unset)
    assert attributes(only)[Attribute.ERROR_TYPE] == "INVALID_REQUEST"


def roots(spans: Spans) -> list[ReadableSpan]:
    return [span for span in spans.all if span.parent is None]


@pytest.mark.parametrize(
    ("failure", "kept"),
    [(None, None), (OutOfMemory("full"), "degraded"), (BackendError("broken"), "failed")],
)
async def test_without_sampling_only_what_went_wrong_is_kept(
    failure: Exception | None, kept: str | None
) -> None:
    script: list[Step] | None = [failure] if failure else None
    world = World(script, fallbacks=[{"from": "r1", "on": "out_of_memory", "to": ["pro"]}])
    async with traced(world, otel_traces_sampler="always_off") as running:
        with contextlib.suppress(BackendError):
            await running.client.ask("why?", no_cache=True)
    if kept is None:
        assert running.spans.all == ()
        return
    (root,) = roots(running.spans)
    assert attributes(root)[Attribute.KEEP] == kept
    assert running.spans.tree() == (TAKEN_OVER if kept == "degraded" else PLAIN)


PRIVATE = (
    "Write to ada@example.org, call +49 30 1234567, pay with 4111 1111 1111 1111, key sk-abcdefghijklmnop1234"
)


@pytest.mark.parametrize("tenant", ["laboratory", "somebody"])
async def test_what_is_said_is_in_traces_only_of_who_opted_in_and_redacted(tenant: str) -> None:
    world = World(
        saying("Ask ", "bob@example.org", " about ward 7."),
        telemetry={"content": {"tenants": ["laboratory"], "redact": ["ward [0-9]+"]}},
    )
    async with traced(world) as running:
        client = Client(running.address, tenant=tenant)
        async with client:
            await client.ask(PRIVATE, no_cache=True)
    told = [str(dict(attributes(span))) for span in running.spans.all]
    for secret in ("ada@example", "1234567", "4111", "sk-abc", "bob@example", "ward 7"):
        assert not any(secret in text for text in told), secret
    chat = attributes(running.spans.one("chat r1"))
    if tenant == "somebody":
        assert not any("Write to" in text or "Ask" in text for text in told)
        assert Attribute.GEN_AI_INPUT_MESSAGES not in chat
        return
    asked, answered = (
        json.loads(chat[name]) for name in (Attribute.GEN_AI_INPUT_MESSAGES, Attribute.GEN_AI_OUTPUT_MESSAGES)
    )
    content = "Write to [redacted], call [redacted], pay with [redacted], key [redacted]"
    assert asked == [{"role": "user", "parts": [{"type": "text", "content": content}]}]
    parts = [{"type": "text", "content": "Ask [redacted] about [redacted]."}]
    assert answered == [{"role": "assistant", "parts": parts, "finish_reason": "stop"}]
