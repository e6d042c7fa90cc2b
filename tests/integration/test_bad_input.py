"""Would catch bad input that is accepted, answered with the wrong status, or refused without saying what is wrong."""

from __future__ import annotations

import time
from typing import Any

import grpc
import grpc.aio
import pytest

from tandem.client import Request, user
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.engine_books import EngineBooks
from tests.integration.asking import Failure, collected, default_text, failure, question, sim
from tests.integration.conftest import Stub

pytestmark = pytest.mark.asyncio(loop_scope="session")

Sampling = types_pb2.Sampling
Message = types_pb2.Message
Part = types_pb2.Part
MIB = 1024 * 1024


async def refused(stub: Stub, request: Request, **options: Any) -> Failure:
    """Return how a request is refused, after checking that every rpc refuses it in the same way."""
    unary = await failure(stub.Generate(request, timeout=10, **options))
    streamed = await failure(
        collected(
            stub.StreamGenerate(
                orchestrator_pb2.StreamGenerateRequest(request=request), timeout=10, **options
            )
        )
    )
    explained = await failure(
        stub.Explain(orchestrator_pb2.ExplainRequest(request=request), timeout=10, **options)
    )
    assert {(each.code, each.reason) for each in (streamed, explained)} == {(unary.code, unary.reason)}
    assert unary.domain == "tandem"
    assert unary.metadata["request_id"]
    return unary


def one(part: Part) -> Request:
    """Return a request of one message with one part."""
    return Request(messages=[Message(role=types_pb2.ROLE_USER, parts=[part])], no_cache=True)


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (Request(), {"messages"}),
        (question("?", sampling=Sampling(max_tokens=0)), {"sampling.max_tokens"}),
        (question("?", sampling=Sampling(max_tokens=32769)), {"sampling.max_tokens"}),
        (question("?", sampling=Sampling(temperature=2.1)), {"sampling.temperature"}),
        (question("?", sampling=Sampling(temperature=float("nan"))), {"sampling.temperature"}),
        (question("?", sampling=Sampling(top_p=0)), {"sampling.top_p"}),
        (question("?", sampling=Sampling(top_k=1001)), {"sampling.top_k"}),
        (question("?", sampling=Sampling(stop=["x"] * 9)), {"sampling.stop"}),
        (
            question("?", sampling=Sampling(stop=["x", "", "y" * 65])),
            {"sampling.stop[1]", "sampling.stop[2]"},
        ),
        (question("?", variant="int8"), {""}),
        (question("?", tier="R1 or so"), {"tier"}),
        (question("?", strategy=17), {"strategy"}),
        (Request(messages=[user("?")] * 257), {"messages"}),
        (Request(messages=[Message(role=types_pb2.ROLE_USER)]), {"messages[0].parts"}),
        (Request(messages=[Message(parts=[Part(text="?")])]), {"messages[0].role", ""}),
        (Request(messages=[user("?"), Message(role=types_pb2.ROLE_ASSISTANT, parts=[Part(text="!")])]), {""}),
        (one(Part()), {"messages[0].parts[0].content"}),
        (one(Part(text="x" * (MIB + 1))), {"messages[0].parts[0].text"}),
        (one(Part(image=types_pb2.Image(media_type="image/png"))), {"messages[0].parts[0].image.source"}),
        (
            one(Part(image=types_pb2.Image(data=b"BM", media_type="image/bmp"))),
            {"messages[0].parts[0].image.media_type"},
        ),
        (one(Part(audio=types_pb2.Audio(data=b"x", media_type="audio/pcm"))), {"messages[0].parts[0].audio"}),
        (
            Request(
                messages=[Message(role=9, parts=[Part(text="a"), Part()]), user("?")],  # type: ignore[arg-type]  # not a role
                sampling=Sampling(temperature=-1, top_p=1.5, top_k=0),
                tier="?",
            ),
            {
                "messages[0].role",
                "messages[0].parts[1].content",
                "sampling.temperature",
                "sampling.top_p",
                "sampling.top_k",
                "tier",
            },
        ),
    ],
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, set) else "",
)
async def test_every_violation_is_named(stub: Stub, request_: Request, fields: set[str]) -> None:
    failed = await refused(stub, request_)

    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    prefixes = {"", "request."}
    assert set(failed.violations) in [
        {prefix + field if field else field for field in fields} for prefix in prefixes
    ]
    assert all(failed.violations.values())
    for field in fields:
        assert field in failed.message


async def test_a_text_of_the_largest_size_is_answered(stub: Stub) -> None:
    directive = sim(tokens=3)

    response = await stub.Generate(question(directive + "x" * (MIB - len(directive)), tier="r1"), timeout=20)

    assert response.answer.text == default_text(3)


async def test_a_message_beyond_16_mib_is_refused(stub: Stub) -> None:
    parts = [Part(text="x" * MIB)] * 16
    request = Request(messages=[Message(role=types_pb2.ROLE_USER, parts=[*parts, Part(text=sim(tokens=1))])])

    failed = await failure(stub.Generate(request, timeout=20))

    assert failed.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in failed.message.lower()


async def test_bytes_that_are_no_message_are_refused(channel: Any, stub: Stub) -> None:
    garbage = b"\xff\xff\xff\xff not protobuf"
    path = "/tandem.v1.OrchestratorService"

    failures = [
        await failure(channel.unary_unary(f"{path}/Generate")(garbage, timeout=10)),
        await failure(anext(aiter(channel.unary_stream(f"{path}/StreamGenerate")(garbage, timeout=10)))),
        await failure(
            anext(aiter(channel.stream_stream(f"{path}/BatchGenerate")(iter([garbage]), timeout=10)))
        ),
    ]

    for failed in failures:
        assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
        assert "protobuf" in failed.message
    assert (await stub.Generate(question(sim(tokens=1), tier="r1"), timeout=10)).answer.text == "t0"


async def test_an_unknown_rpc_is_unimplemented(channel: Any) -> None:
    raw = channel.unary_unary("/tandem.v1.OrchestratorService/Predict")

    assert (await failure(raw(b"", timeout=10))).code == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"tier": "gpt"}, "UNKNOWN_TIER", ["gpt", "r1", "pro"]),
        ({"tier": "r1", "variant": "bf16"}, "UNKNOWN_VARIANT", ["bf16", "fp16", "int8"]),
    ],
)
async def test_an_unknown_name_is_not_found_and_the_known_ones_are_listed(
    stub: Stub, fields: dict[str, str], reason: str, words: list[str]
) -> None:
    failed = await refused(stub, question("?", **fields))

    assert (failed.code, failed.reason) == (grpc.StatusCode.NOT_FOUND, reason)
    assert all(word in failed.message for word in words)


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        (Part(image=types_pb2.Image(data=b"\x89PNG", media_type="image/png")), {"tier": "r1"}),
        (Part(audio=types_pb2.Audio(data=b"RIFF", media_type="audio/wav")), {}),
        (
            Part(audio=types_pb2.Audio(data=b"RIFF", media_type="audio/wav")),
            {"strategy": types_pb2.STRATEGY_ENSEMBLE},
        ),
    ],
)
async def test_a_part_that_the_tier_cannot_read_is_refused(
    stub: Stub, part: Part, fields: dict[str, object]
) -> None:
    request = one(part)
    request.MergeFrom(Request(**fields))  # type: ignore[arg-type]  # fields of mixed types

    failed = await refused(stub, request)

    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MODALITY_UNSUPPORTED")
    assert str(part.WhichOneof("content")) in failed.message


async def test_a_picture_of_a_tenant_without_the_tier_that_reads_it_is_refused(stub: Stub) -> None:
    picture = one(Part(image=types_pb2.Image(data=b"\x89PNG", media_type="image/png")))

    failed = await refused(stub, picture, metadata=[("tandem-tenant", "free-plan")])

    assert failed.reason == "MODALITY_UNSUPPORTED"


async def test_a_tier_without_entitlement_is_denied(stub: Stub) -> None:
    failed = await refused(stub, question("?", tier="pro"), metadata=[("tandem-tenant", "free-plan")])

    assert (failed.code, failed.reason) == (grpc.StatusCode.PERMISSION_DENIED, "TIER_NOT_ENTITLED")
    assert "free-plan" in failed.message
    assert "r1" in failed.message


async def test_a_strategy_that_is_not_offered_is_refused(stub: Stub) -> None:
    failed = await refused(stub, question("?", strategy=types_pb2.STRATEGY_SHADOW))

    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STRATEGY_UNSUPPORTED")


@pytest.mark.parametrize(
    ("key", "value", "accepted"),
    [
        ("tandem-tenant", "a" * 64, True),
        ("tandem-tenant", "a" * 65, False),
        ("tandem-tenant", "two words", False),
        ("tandem-request-id", "Order_7.x-1", True),
        ("tandem-request-id", "", False),
        ("tandem-retries-left", "8", True),
        ("tandem-retries-left", "9", False),
        ("tandem-retries-left", "-1", False),
    ],
)
async def test_metadata_is_checked(stub: Stub, key: str, value: str, accepted: bool) -> None:
    request, metadata = question(sim(tokens=1), tier="r1"), [(key, value)]

    if accepted:
        answer = (await stub.Generate(request, timeout=10, metadata=metadata)).answer
        assert answer.request_id == value or key != "tandem-request-id"
    else:
        failed = await refused(stub, request, metadata=metadata)
        assert failed.reason == "INVALID_REQUEST"
        assert set(failed.violations) == {key}


async def test_a_deadline_too_short_for_anything_is_refused_at_once(stub: Stub, books: EngineBooks) -> None:
    before = await books.settled("requests")
    started = time.monotonic()

    # 250 ms of margin, and some to the first token.
    failed = await failure(stub.Generate(question(sim(tokens=1), tier="r1"), timeout=0.24))

    assert time.monotonic() - started < 0.23
    assert (failed.code, failed.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT")
    assert float(failed.metadata["needed_ms"]) > 250
    assert f"{failed.metadata['needed_ms']} ms" in failed.message
    assert await books.settled("requests") == before


async def test_without_a_deadline_the_policys_default_counts(stub: Stub) -> None:
    started = time.monotonic()

    failed = await failure(stub.Generate(question(sim(fault="hang"), tier="r1")))

    assert 2.5 < time.monotonic() - started < 10  # and not the 60 s of the longest
    assert (failed.code, failed.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


async def test_a_deadline_beyond_the_longest_is_brought_forward(stub: Stub) -> None:
    request = orchestrator_pb2.ExplainRequest(request=question("?"))

    plan = (await stub.Explain(request, timeout=100_000)).plan

    assert 59_000 < plan.deadline_ms <= 60_000
