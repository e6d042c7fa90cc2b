"""Would catch: a client whose errors, deadlines, metadata or cancelling differ from those of the in-process core."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc.aio
import pytest

from tandem.call import Call
from tandem.classifier.servicer import ClassifierServicer
from tandem.clock import now
from tandem.errors import (
    BackendUnavailable,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    OutOfMemory,
    TandemError,
)
from tandem.fusion.servicer import FusionServicer
from tandem.inference.servicer import InferenceServicer
from tandem.serving.clients import GrpcClassifier, GrpcFusion, GrpcInference, open_channel
from tandem.v1 import (
    classifier_pb2,
    classifier_pb2_grpc,
    fusion_pb2,
    fusion_pb2_grpc,
    inference_pb2,
    inference_pb2_grpc,
    types_pb2,
)
from tests.fakes.calls import call, user
from tests.fakes.inference import HANG, ScriptedInference, Step, finished, saying, text
from tests.fakes.listening import listening
from tests.fakes.services import FakeClassifier, FakeFusion, signals

INFER = inference_pb2.InferRequest(variant="fp16", messages=[user()])
CLASSIFY = classifier_pb2.ClassifyRequest(messages=[user()])
FUSE = fusion_pb2.FuseRequest(
    candidates=[fusion_pb2.Candidate(target=types_pb2.Target(tier="r1", variant="fp16"), text="B")]
)
SERVICES = ("tandem.v1.ClassifierService", "tandem.v1.FusionService", "tandem.v1.InferenceService")


@dataclass
class Far:
    """The three services in a server, and their clients."""

    classifier_core: FakeClassifier
    fusion_core: FakeFusion
    inference_core: ScriptedInference
    classifier: GrpcClassifier
    fusion: GrpcFusion
    inference: GrpcInference

    async def stream(self, asked: Call) -> list[inference_pb2.StreamInferResponse]:
        return [piece async for piece in self.inference.stream_infer(INFER, asked)]


@contextlib.asynccontextmanager
async def far(*script: Step) -> AsyncIterator[Far]:
    classifier, fusion, inference = FakeClassifier(), FakeFusion(), ScriptedInference(script or saying("ok"))

    def add(server: grpc.aio.Server) -> None:
        classifier_pb2_grpc.add_ClassifierServiceServicer_to_server(ClassifierServicer(classifier), server)
        fusion_pb2_grpc.add_FusionServiceServicer_to_server(FusionServicer(fusion), server)
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(InferenceServicer(inference), server)

    async with listening(add, services=SERVICES) as served:
        clients = (
            GrpcClassifier(served.channel),
            GrpcFusion(served.channel),
            GrpcInference(served.channel, "r1"),
        )
        yield Far(classifier, fusion, inference, *clients)


async def test_answers_arrive() -> None:
    async with far() as services:
        assert (await services.classifier.classify(CLASSIFY, call())).signals == signals()
        assert (await services.fusion.fuse(FUSE, call())).text == "B"
        assert (await services.inference.infer(INFER, call())).text == "ok"
        assert (await services.inference.get_capabilities(call())).tier == "r1"
        services.inference_core.token_seconds = 0
        pieces = await services.stream(call())
        assert "".join(piece.text for piece in pieces) == "ok"
        assert pieces[-1].HasField("finished")


async def test_the_call_travels_with_the_request() -> None:
    async with far() as services:
        sent = call(seconds=5, request_id="one", tenant="shop", retries_left=2)
        await services.inference.infer(INFER, sent)
        (found,) = services.inference_core.calls
        assert (found.request_id, found.tenant, found.retries_left) == ("one", "shop", 2)
        assert found.deadline <= sent.deadline + 0.05


@pytest.mark.parametrize("error", [OutOfMemory("full"), BackendUnavailable("dead"), InvalidRequest("bad")])
async def test_errors_arrive_as_their_class(error: TandemError) -> None:
    async with far(text("x"), error) as services:
        services.classifier_core.failure = services.fusion_core.failure = error
        services.inference_core.failure = error
        found = []
        for failing in (
            services.classifier.classify(CLASSIFY, call()),
            services.fusion.fuse(FUSE, call()),
            services.inference.infer(INFER, call()),
            services.inference.get_capabilities(call()),
            services.stream(call()),
        ):
            with pytest.raises(TandemError) as caught:
                await failing
            found.append((type(caught.value), caught.value.message))
        assert found == [(type(error), error.message)] * 5


async def test_defects_arrive_as_internal_errors() -> None:
    async with far(ValueError("secret")) as services:
        with pytest.raises(InternalError) as caught:
            await services.inference.infer(INFER, call())
        assert "secret" not in caught.value.message


async def test_what_came_before_an_error_arrives() -> None:
    async with far(text("a"), text("b"), OutOfMemory("full")) as services:
        found = []
        with pytest.raises(OutOfMemory):
            async for piece in services.inference.stream_infer(INFER, call()):
                found.append(piece.text)
        assert "".join(found) == "ab"


async def test_nobody_listens() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        with pytest.raises(BackendUnavailable, match="pro-inference: "):
            await GrpcInference(channel, "pro").infer(INFER, call())
        with pytest.raises(BackendUnavailable, match="fusion: "):
            await GrpcFusion(channel).fuse(FUSE, call())


async def test_no_time_left_is_noticed_before_anything_is_sent() -> None:
    async with far() as services:
        with pytest.raises(DeadlineExceeded, match="before the next service was called"):
            await services.inference.infer(INFER, call(seconds=0.001))
        with pytest.raises(DeadlineExceeded):
            await services.stream(call(seconds=-1))
        assert services.inference_core.calls == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_hang_ends_by_the_deadline(streamed: bool) -> None:
    async with far(text("a"), HANG) as services:
        asked = call(seconds=0.15)
        with pytest.raises(DeadlineExceeded):
            await (services.stream(asked) if streamed else services.inference.infer(INFER, asked))
        assert asked.remaining() > -5
        async with asyncio.timeout(5):
            await services.inference_core.stopped.wait()


async def test_closing_the_iterator_stops_the_tier() -> None:
    async with far(text("a"), HANG) as services:
        async with contextlib.aclosing(services.inference.stream_infer(INFER, call())) as pieces:
            assert (await anext(pieces)).text == "a"
        async with asyncio.timeout(5):
            await services.inference_core.stopped.wait()


async def test_cancelling_stops_the_tier() -> None:
    async with far(HANG) as services:
        running = asyncio.ensure_future(services.inference.infer(INFER, call()))
        await services.inference_core.started.wait()
        running.cancel()
        async with asyncio.timeout(5):
            await services.inference_core.stopped.wait()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_tokens_that_arrive_together_travel_together_and_none_is_lost() -> None:
    words = [f"w{number} " for number in range(300)]
    async with far(*map(text, words), finished(300)) as services:
        services.inference_core.token_seconds = 0
        pieces = await services.stream(call())
        assert "".join(piece.text for piece in pieces) == "".join(words)
        assert sum(piece.output_tokens for piece in pieces) == 300
        assert len(pieces) < 150


async def test_usage_is_settled_for_the_request_of_the_metadata() -> None:
    asked = inference_pb2.SettleUsageRequest(variant="fp16", attempt=2)
    async with far() as services:
        services.inference_core.made["mine", 2] = 7
        response = await services.inference.settle_usage(asked, call(request_id="mine"))
    assert response == inference_pb2.SettleUsageResponse(
        usage=types_pb2.Usage(input_tokens=5, output_tokens=7), settled=True
    )
    assert services.inference_core.settlements == [asked]


async def test_an_error_of_settling_has_its_class() -> None:
    async with far() as services:
        services.inference_core.settle_failure = DeadlineExceeded("r1 did not say in time")
        with pytest.raises(DeadlineExceeded, match="did not say in time"):
            await services.inference.settle_usage(
                inference_pb2.SettleUsageRequest(variant="fp16"), call(seconds=5)
            )


async def test_pieces_of_a_buffered_stream_travel_together() -> None:
    words = [f"{number} " for number in range(100)]
    async with far(*saying(*words)) as services:
        began = now()
        stream = services.inference.stream_infer(INFER, call(), buffered=True)
        pieces = [piece async for piece in stream]
    assert services.inference_core.buffered == [True]
    assert "".join(piece.text for piece in pieces) == "".join(words)
    assert sum(piece.output_tokens for piece in pieces) == 100
    assert pieces[0].text == "0 "
    # Each is held back for up to 250 ms, however long the tokens take.
    assert len(pieces) < 10 + (now() - began) / 0.25


async def test_a_stream_that_has_said_all_ends_by_itself() -> None:
    """Cancelled at its last message, a good answer would be logged and counted as one whose client left."""
    end = asyncio.Event()
    async with far(*saying("ok"), end) as services:
        async with contextlib.aclosing(services.inference.stream_infer(INFER, call())) as pieces:
            async for piece in pieces:
                if piece.HasField("finished"):
                    break
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(services.inference_core.stopped.wait(), 0.2)
        end.set()
        await asyncio.wait_for(services.inference_core.stopped.wait(), 10)


async def test_a_port_that_failed_before_does_not_fail_a_new_channel() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
    async with open_channel(address) as early:
        while (state := early.get_state()) is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            await early.wait_for_state_change(state)
        server = grpc.aio.server()
        server.add_insecure_port(address)
        await server.start()
        async with open_channel(address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await classifier_pb2_grpc.ClassifierServiceStub(channel).Classify(CLASSIFY)
        await server.stop(None)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
