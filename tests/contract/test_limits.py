"""Would catch: a limit of the contract that is not enforced, is one off, or has no test on each side."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, cast

import grpc.aio
import pytest
import pytest_asyncio
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from buf.validate import validate_pb2
from tandem.call import Call
from tandem.classifier.servicer import ClassifierServicer
from tandem.errors import InvalidRequest, TandemError
from tandem.fusion.servicer import FusionServicer
from tandem.inference.servicer import InferenceServicer
from tandem.orchestrator.answer import Orchestrator
from tandem.orchestrator.batch import Batch
from tandem.serving.context import current_call
from tandem.serving.status import from_rpc_error
from tandem.serving.validation import validate
from tandem.v1 import (
    classifier_pb2,
    classifier_pb2_grpc,
    fusion_pb2,
    fusion_pb2_grpc,
    inference_pb2,
    inference_pb2_grpc,
    orchestrator_pb2,
    orchestrator_pb2_grpc,
    types_pb2,
)
from tests.fakes.inference import ScriptedInference, saying
from tests.fakes.listening import ORCHESTRATOR, listening
from tests.fakes.requests import (
    audio,
    candidate,
    classify,
    enum,
    forget,
    fuse,
    generate,
    image,
    infer,
    message,
    part,
    sampling,
    settle,
    text,
)
from tests.fakes.servicer import BareServicer, Context
from tests.fakes.services import FakeClassifier, FakeFusion

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
FILES = (types_pb2, orchestrator_pb2, classifier_pb2, inference_pb2, fusion_pb2)
GenerateRequest = orchestrator_pb2.GenerateRequest
InferRequest = inference_pb2.InferRequest
BatchRequest = orchestrator_pb2.BatchGenerateRequest


@dataclass
class Limit:
    """Requests just inside of a limit, and just outside."""

    inside: list[Message]
    outside: list[Message]


NAME = "a" + "b" * 31
URI = "https://example.test/"

LIMITS: dict[str, Limit] = {
    "Message.role enum.defined_only": Limit([part(text())], [generate(message(role=99), message())]),
    "Message.role enum.not_in": Limit(
        [generate(message(role=role), message()) for role in (1, 2, 3)],
        [generate(message(role=0), message())],
    ),
    "Message.parts repeated.min_items": Limit(
        [generate(message(text()))], [generate(types_pb2.Message(role=types_pb2.ROLE_USER))]
    ),
    "Message.parts repeated.max_items": Limit(
        [generate(message(*[text()] * 64))], [generate(message(*[text()] * 65))]
    ),
    "Part.content oneof.required": Limit([part(text(""))], [part(types_pb2.Part())]),
    "Part.text string.max_bytes": Limit(
        [part(text("x" * MIB)), part(text("é" * (MIB // 2)))],
        [part(text("x" * (MIB + 1))), part(text("é" * (MIB // 2) + "x"))],
    ),
    "Image.source oneof.required": Limit([image(uri=URI)], [image()]),
    "Image.data bytes.min_len": Limit([image(data=b"x")], [image(data=b"")]),
    "Image.data bytes.max_len": Limit([image(data=b"x" * 8 * MIB)], [image(data=b"x" * (8 * MIB + 1))]),
    "Image.uri string.uri": Limit(
        [image(uri=URI), image(uri="s3://bucket/key")],
        [image(uri="picture.png"), image(uri="a b"), image(uri="")],
    ),
    "Image.uri string.max_len": Limit([image(uri=URI.ljust(2048, "a"))], [image(uri=URI.ljust(2049, "a"))]),
    "Image.media_type string.in": Limit(
        [image(data=b"x", media_type=f"image/{kind}") for kind in ("png", "jpeg", "webp", "gif")],
        [image(data=b"x", media_type=kind) for kind in ("", "image/tiff", "IMAGE/PNG", "text/plain")],
    ),
    "Audio.data bytes.min_len": Limit([audio()], [audio(data=b"")]),
    "Audio.data bytes.max_len": Limit([audio(data=b"x" * 8 * MIB)], [audio(data=b"x" * (8 * MIB + 1))]),
    "Audio.media_type string.in": Limit(
        [audio(media_type=f"audio/{kind}") for kind in ("wav", "flac", "ogg", "mpeg")],
        [audio(media_type=kind) for kind in ("", "audio/aac", "video/mpeg")],
    ),
    "Audio.sample_rate_hz uint32.gte": Limit([audio(sample_rate_hz=8000)], [audio(sample_rate_hz=7999)]),
    "Audio.sample_rate_hz uint32.lte": Limit([audio(sample_rate_hz=192000)], [audio(sample_rate_hz=192001)]),
    "Audio cel.audio.pcm_sample_rate": Limit(
        [audio(media_type="audio/pcm", sample_rate_hz=16000), audio(media_type="audio/wav")],
        [audio(media_type="audio/pcm")],
    ),
    "Sampling.max_tokens uint32.gte": Limit([sampling(max_tokens=1)], [sampling(max_tokens=0)]),
    "Sampling.max_tokens uint32.lte": Limit([sampling(max_tokens=32768)], [sampling(max_tokens=32769)]),
    "Sampling.temperature float.gte": Limit([sampling(temperature=0)], [sampling(temperature=-0.001)]),
    "Sampling.temperature float.lte": Limit(
        [sampling(temperature=2)], [sampling(temperature=2.001), sampling(temperature=float("nan"))]
    ),
    "Sampling.top_p float.gt": Limit([sampling(top_p=0.001)], [sampling(top_p=0)]),
    "Sampling.top_p float.lte": Limit(
        [sampling(top_p=1)], [sampling(top_p=1.001), sampling(top_p=float("inf"))]
    ),
    "Sampling.top_k uint32.gte": Limit([sampling(top_k=1)], [sampling(top_k=0)]),
    "Sampling.top_k uint32.lte": Limit([sampling(top_k=1000)], [sampling(top_k=1001)]),
    "Sampling.stop repeated.max_items": Limit([sampling(stop=["x"] * 8)], [sampling(stop=["x"] * 9)]),
    "Sampling.stop repeated.items.string.min_len": Limit([sampling(stop=["x"])], [sampling(stop=[""])]),
    "Sampling.stop repeated.items.string.max_len": Limit(
        [sampling(stop=["x" * 64]), sampling(stop=["量" * 64])], [sampling(stop=["x" * 65])]
    ),
    "GenerateRequest.messages repeated.min_items": Limit([generate()], [GenerateRequest()]),
    "GenerateRequest.messages repeated.max_items": Limit(
        [generate(*[message()] * 256)], [generate(*[message()] * 257)]
    ),
    "GenerateRequest.tier string.pattern": Limit(
        [generate(tier=name) for name in ("", "r1", "a", NAME)],
        [generate(tier=name) for name in ("R1", "1r", "-r", "a_b", NAME + "b", "r1\n")],
    ),
    "GenerateRequest.variant string.pattern": Limit(
        [generate(tier="r1", variant=name) for name in ("", "int8", NAME)],
        [generate(tier="r1", variant=name) for name in ("8int", "INT8", NAME + "b")],
    ),
    "GenerateRequest.strategy enum.defined_only": Limit(
        [generate(strategy=enum(value)) for value in range(6)],
        [generate(strategy=enum(6)), generate(strategy=enum(-1))],
    ),
    "GenerateRequest cel.generate.last_message_of_user": Limit(
        [generate(message(role=types_pb2.ROLE_ASSISTANT), message())],
        [generate(message(role=types_pb2.ROLE_ASSISTANT)), generate(message(role=types_pb2.ROLE_SYSTEM))],
    ),
    "GenerateRequest cel.generate.variant_needs_tier": Limit(
        [generate(tier="r1", variant="int8")], [generate(variant="int8")]
    ),
    "StreamGenerateRequest.request required": Limit(
        [orchestrator_pb2.StreamGenerateRequest(request=generate())],
        [orchestrator_pb2.StreamGenerateRequest()],
    ),
    "ExplainRequest.request required": Limit(
        [orchestrator_pb2.ExplainRequest(request=generate())], [orchestrator_pb2.ExplainRequest()]
    ),
    "ForgetAnswerRequest.request_id string.pattern": Limit(
        [forget(name) for name in ("a", "A.b-c_1", "x" * 64)],
        [forget(name) for name in ("", "a b", "é", "x" * 65, "a\n")],
    ),
    "BatchGenerateRequest.request required": Limit([BatchRequest(request=generate())], [BatchRequest()]),
    "InferRequest.variant string.pattern": Limit(
        [infer("a"), infer(NAME)], [infer(""), infer("A"), infer(NAME + "b")]
    ),
    "InferRequest.messages repeated.min_items": Limit([infer(count=1)], [infer(count=0)]),
    "InferRequest.messages repeated.max_items": Limit([infer(count=256)], [infer(count=257)]),
    "InferRequest.continuation_prefix string.max_bytes": Limit(
        [infer(prefix="x" * MIB)], [infer(prefix="x" * (MIB + 1))]
    ),
    "StreamInferRequest.request required": Limit(
        [inference_pb2.StreamInferRequest(request=infer())], [inference_pb2.StreamInferRequest()]
    ),
    "SettleUsageRequest.variant string.pattern": Limit(
        [settle("a"), settle(NAME)], [settle(""), settle("A")]
    ),
    "ClassifyRequest.messages repeated.min_items": Limit([classify(1)], [classify(0)]),
    "ClassifyRequest.messages repeated.max_items": Limit([classify(256)], [classify(257)]),
    "FuseRequest.candidates repeated.min_items": Limit([fuse(candidate())], [fuse()]),
    "FuseRequest.candidates repeated.max_items": Limit(
        [fuse(*[candidate()] * 64)], [fuse(*[candidate()] * 65)]
    ),
    "FuseRequest.domain enum.defined_only": Limit(
        [fuse(candidate(), domain=enum(value)) for value in (0, 5)], [fuse(candidate(), domain=enum(6))]
    ),
    "FuseRequest.task enum.defined_only": Limit(
        [fuse(candidate(), task=enum(value)) for value in (0, 8)], [fuse(candidate(), task=enum(9))]
    ),
    "FuseRequest.category string.max_bytes": Limit(
        [fuse(candidate(), category="c" * 64), fuse(candidate(), category="法" * 21)],
        [fuse(candidate(), category="c" * 65), fuse(candidate(), category="法" * 22)],
    ),
    "FuseRequest.form enum.defined_only": Limit(
        [fuse(candidate(), form=enum(value)) for value in (0, 10)], [fuse(candidate(), form=enum(11))]
    ),
    "FuseRequest.labels repeated.max_items": Limit(
        [fuse(candidate(), labels=["x"] * 64)], [fuse(candidate(), labels=["x"] * 65)]
    ),
    "FuseRequest.labels repeated.items.string.min_bytes": Limit(
        [fuse(candidate(), labels=["x"])], [fuse(candidate(), labels=["x", ""])]
    ),
    "FuseRequest.labels repeated.items.string.max_bytes": Limit(
        [fuse(candidate(), labels=["x" * 64])],
        [fuse(candidate(), labels=["x" * 65])],
    ),
    "FuseRequest.relative_tolerance double.gte": Limit(
        [fuse(candidate(), relative_tolerance=0)], [fuse(candidate(), relative_tolerance=-0.001)]
    ),
    "FuseRequest.relative_tolerance double.lte": Limit(
        [fuse(candidate(), relative_tolerance=0.1)], [fuse(candidate(), relative_tolerance=0.101)]
    ),
    "Candidate.target required": Limit([fuse(candidate())], [fuse(fusion_pb2.Candidate(text="x"))]),
    "Candidate.text string.max_bytes": Limit(
        [fuse(candidate(text="x" * MIB))], [fuse(candidate(text="x" * (MIB + 1)))]
    ),
    "Candidate.confidence float.gte": Limit(
        [fuse(candidate(confidence=0)), fuse(candidate())], [fuse(candidate(confidence=-0.001))]
    ),
    "Candidate.confidence float.lte": Limit(
        [fuse(candidate(confidence=1))], [fuse(candidate(confidence=1.001))]
    ),
}


# --- which limits the contract states


def stated() -> Iterator[str]:
    """Yield every rule of the contract as `Message.field rule`."""
    for file in FILES:
        for descriptor in file.DESCRIPTOR.message_types_by_name.values():
            yield from _of_message(descriptor)


def _of_message(descriptor: Descriptor) -> Iterator[str]:
    options: Any = descriptor.GetOptions()
    for rule in options.Extensions[validate_pb2.message].cel:
        yield f"{descriptor.name} cel.{rule.id}"
    for oneof in descriptor.oneofs:
        choice: Any = oneof.GetOptions()
        if choice.Extensions[validate_pb2.oneof].required:
            yield f"{descriptor.name}.{oneof.name} oneof.required"
    for field in descriptor.fields:
        rules: Any = field.GetOptions()
        for rule in _leaves(rules.Extensions[validate_pb2.field]):
            yield f"{descriptor.name}.{field.name} {rule}"


def _leaves(rules: Message) -> Iterator[str]:
    """Yield the paths of the rules that are set; `ignore` says when a rule counts and is none itself."""
    for field, value in rules.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE and not field.is_repeated:
            yield from (f"{field.name}.{leaf}" for leaf in _leaves(value))
        elif field.name != "ignore":
            yield field.name


async def test_every_limit_of_the_contract_has_its_requests() -> None:
    assert sorted(stated()) == sorted(LIMITS)


# --- a server for all four services


class Accepting(BareServicer):
    """Accepts every request that comes through."""

    async def Generate(self, request: GenerateRequest, context: Context) -> orchestrator_pb2.GenerateResponse:
        size = len(request.messages[0].parts[0].text)
        answer = types_pb2.Answer(text="x" * 17 * MIB if request.tier == "huge" else str(size))
        return orchestrator_pb2.GenerateResponse(answer=answer)

    async def StreamGenerate(
        self, request: orchestrator_pb2.StreamGenerateRequest, context: Context
    ) -> AsyncGenerator[orchestrator_pb2.StreamGenerateResponse, None]:
        yield orchestrator_pb2.StreamGenerateResponse(finished=orchestrator_pb2.Finished())

    async def Explain(
        self, request: orchestrator_pb2.ExplainRequest, context: Context
    ) -> orchestrator_pb2.ExplainResponse:
        return orchestrator_pb2.ExplainResponse()

    async def ForgetAnswer(
        self, request: orchestrator_pb2.ForgetAnswerRequest, context: Context
    ) -> orchestrator_pb2.ForgetAnswerResponse:
        return orchestrator_pb2.ForgetAnswerResponse()

    async def generate(self, request: GenerateRequest, call: Call, method: str) -> types_pb2.Answer:
        """Answer an item of a batch."""
        return types_pb2.Answer()

    async def BatchGenerate(
        self, request_iterator: AsyncIterator[BatchRequest], context: Context
    ) -> AsyncGenerator[orchestrator_pb2.BatchGenerateResponse, None]:
        async for result in Batch(cast("Orchestrator", self), validate).run(request_iterator, current_call()):
            yield result


def _add_all(server: grpc.aio.Server) -> None:
    orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(Accepting(), server)
    classifier_pb2_grpc.add_ClassifierServiceServicer_to_server(ClassifierServicer(FakeClassifier()), server)
    fusion_pb2_grpc.add_FusionServiceServicer_to_server(FusionServicer(FakeFusion()), server)
    inference = InferenceServicer(ScriptedInference(saying("ok")))
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(inference, server)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    async with listening(_add_all, services=(ORCHESTRATOR,)) as served:
        yield served.channel


async def send(channel: grpc.aio.Channel, request: Message) -> None:
    """Send a request to the rpc that takes it.

    Raises:
        TandemError: it was refused.
    """
    orchestrator = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)
    inference = inference_pb2_grpc.InferenceServiceStub(channel)
    rpcs: dict[type[Message], Any] = {
        GenerateRequest: orchestrator.Generate,
        orchestrator_pb2.StreamGenerateRequest: orchestrator.StreamGenerate,
        orchestrator_pb2.ExplainRequest: orchestrator.Explain,
        orchestrator_pb2.ForgetAnswerRequest: orchestrator.ForgetAnswer,
        InferRequest: inference.Infer,
        inference_pb2.StreamInferRequest: inference.StreamInfer,
        inference_pb2.SettleUsageRequest: inference.SettleUsage,
        classifier_pb2.ClassifyRequest: classifier_pb2_grpc.ClassifierServiceStub(channel).Classify,
        fusion_pb2.FuseRequest: fusion_pb2_grpc.FusionServiceStub(channel).Fuse,
    }
    try:
        if isinstance(request, BatchRequest):
            (result,) = [result async for result in orchestrator.BatchGenerate(iter([request]))]
            if result.HasField("error"):
                raise InvalidRequest(result.error.message)
            return
        rpc = rpcs[type(request)](request)
        if isinstance(rpc, grpc.aio.UnaryStreamCall):
            async for _ in rpc:
                pass
        else:
            await rpc
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error, "server") from error


@pytest.mark.parametrize("name", LIMITS)
async def test_limit(channel: grpc.aio.Channel, name: str) -> None:
    for request in LIMITS[name].inside:
        await send(channel, request)
    last_name = name.split(maxsplit=1)[0].partition(".")[2]
    for request in LIMITS[name].outside:
        with pytest.raises(InvalidRequest, match="breaks the contract") as caught:
            await send(channel, request)
        fields = [violation.field for violation in caught.value.details.violations]
        if not isinstance(request, BatchRequest):
            assert len(fields) == 1, fields
            assert last_name in fields[0]


# --- what is too large for any rule


def of_size(size: int) -> GenerateRequest:
    """Return a valid request of exactly so many bytes."""
    parts = [types_pb2.Part(image=types_pb2.Image(data=b"x" * 8 * MIB, media_type="image/png"))]
    request = generate(message(*parts, text(), text("")))
    while (missing := size - request.ByteSize()) > 0:
        if missing > MIB:
            request.messages[0].parts.append(text("x" * (MIB - 100)))
        else:
            request.messages[0].parts[1].text += "x" * max(1, missing - 12)
    assert request.ByteSize() == size
    return request


async def test_a_message_of_exactly_the_limit(channel: grpc.aio.Channel) -> None:
    await send(channel, of_size(16 * MIB))


async def test_the_client_refuses_to_send_more(channel: grpc.aio.Channel) -> None:
    with pytest.raises(InvalidRequest, match="larger than max"):
        await send(channel, of_size(16 * MIB + 1))


async def test_the_server_refuses_to_read_more() -> None:
    async with listening(_add_all) as served, grpc.aio.insecure_channel(served.target) as unlimited:
        with pytest.raises(TandemError) as caught:
            await send(unlimited, of_size(16 * MIB + 1))
    assert type(caught.value) is InvalidRequest
    assert "larger than max" in caught.value.message


async def test_the_server_refuses_to_send_more(channel: grpc.aio.Channel) -> None:
    with pytest.raises(TandemError):
        await send(channel, generate(tier="huge"))
    await send(channel, generate())
